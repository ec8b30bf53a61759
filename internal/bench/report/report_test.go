package report_test

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/bench/report"
)

var update = flag.Bool("update", false, "write the golden files")

// sample is a record of two rounds with two of our systems and two others, one of which failed in part.
func sample() report.Record {
	r := report.Record{
		Begun: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC), Took: "9m0s", Remark: "The machine had other work to do.",
		Machine: report.Machine{Processor: "A processor", Cores: 2, MemoryGiB: 24, Kernel: "6.1", Disk: "ext4", Go: "go1.26", SyncedFiles: 3000, SyncedAppends: 16000, Load: 0.25},
		Options: report.Options{Rounds: 2, Seconds: 3, WarmSeconds: 20, MessageBytes: 8192, Accounts: 50, CopyMessages: 20000, CopyRounds: 1},
	}
	for i, name := range []string{"unreplicated", "replicated", "dovecot", "cyrus-sync"} {
		factor := float64(4 - i)
		s := report.System{Name: name, Title: strings.ToUpper(name[:1]) + name[1:] + " <&>", Version: "1.0", Settings: []string{"as it ships"},
			Figures: map[string][]float64{"delivery.1": {100 * factor, 120 * factor}, "ack.1.p50": {4 / factor, 5 / factor}, "delivery.16": {1000 * factor, 1500 * factor}}}
		r.Systems = append(r.Systems, s)
	}
	r.Systems[3].Failures = []string{"round 2: delivery, 16 connections: the server answers 451"}
	delete(r.Systems[3].Figures, "delivery.16")
	r.Ratios = r.Compare()
	return r
}

func TestSummarise(t *testing.T) {
	for _, test := range []struct {
		figures []float64
		want    report.Summary
	}{
		{[]float64{3}, report.Summary{Median: 3, Low: 3, High: 3}},
		{[]float64{9, 1, 4}, report.Summary{Median: 4, Low: 1, High: 9}},
		{[]float64{4, 1, 9, 2}, report.Summary{Median: 3, Low: 1, High: 9}},
	} {
		if got, ok := report.Summarise(test.figures); got != test.want || !ok {
			t.Errorf("%v: %v, %v; want %v", test.figures, got, ok, test.want)
		}
	}
	if _, ok := report.Summarise(nil); ok {
		t.Error("there is a summary of nothing")
	}
}

func TestRatiosAreOfWhatIsBetter(t *testing.T) {
	r := sample()
	want := map[string]float64{
		"delivery.1 replicated unreplicated": 3.0 / 4, "delivery.1 replicated dovecot": 3.0 / 2, "delivery.1 replicated cyrus-sync": 3,
		"ack.1.p50 replicated unreplicated": 3.0 / 4, "ack.1.p50 replicated dovecot": 3.0 / 2, "ack.1.p50 replicated cyrus-sync": 3,
		"delivery.16 replicated unreplicated": 3.0 / 4, "delivery.16 replicated dovecot": 3.0 / 2,
	}
	for _, ratio := range r.Ratios {
		key := ratio.Row + " " + ratio.Of + " " + ratio.To
		if math.Abs(want[key]-ratio.Value) > 1e-9 {
			t.Errorf("%s is %v, want %v", key, ratio.Value, want[key])
		}
		delete(want, key)
	}
	if len(want) > 0 {
		t.Errorf("no ratios: %v", want)
	}
}

func TestRecordIsKept(t *testing.T) {
	r := sample()
	path := filepath.Join(t.TempDir(), "record.json")
	if err := r.Save(path); err != nil {
		t.Fatal(err)
	}
	again, err := report.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := again.Markdown(nil), r.Markdown(nil); got != want {
		t.Errorf("another page comes of what was kept:\n%s\nwant\n%s", got, want)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := report.Load(path); err == nil {
		t.Error("half a record is read")
	}
	if _, err := report.Load(path + ".none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no record: %v", err)
	}
}

func TestCheck(t *testing.T) {
	set := func(system int, row string, figures ...float64) func(*report.Record) {
		return func(r *report.Record) { r.Systems[system].Figures[row] = figures }
	}
	for _, test := range []struct {
		name   string
		change func(*report.Record)
		ok     bool
		says   string
	}{
		{"the same", func(*report.Record) {}, true, "0 ratios fell, 8 held, 0 without a figure, 0 of systems that were left out, 0 failures"},
		{"a slower machine", func(r *report.Record) {
			for _, s := range r.Systems {
				s.Figures["delivery.1"] = []float64{s.Figures["delivery.1"][0] / 10}
			}
		}, true, "8 held"},
		{"a rate that falls within its tolerance", set(1, "delivery.1", 0.8*330), true, "8 held"},
		{"a rate that falls by more", set(1, "delivery.1", 0.7*330), false, "delivery.1  replicated  dovecot       1.50      1.05  -30 %   -25 %"},
		{"another that rises", set(2, "delivery.1", 330), false, "delivery.1  replicated  dovecot  1.50      1.00  -33 %   -25 %"},
		{"a time that grows within its tolerance", set(1, "ack.1.p50", 1.9*1.5), true, "8 held"},
		{"a time that grows by more", set(1, "ack.1.p50", 2.1*1.5), false, "ack.1.p50  replicated  dovecot       1.50      0.71  -52 %   -50 %"},
		{"a figure that is gone", func(r *report.Record) { delete(r.Systems[1].Figures, "delivery.16") }, false, "delivery.16  replicated  dovecot       1.50  no figure"},
		{"a system that was left out", func(r *report.Record) { r.Systems = r.Systems[:3] }, true, "6 held, 0 without a figure, 2 of systems that were left out"},
		{"a failure", func(r *report.Record) { r.Systems[2].Failures = []string{"round 1: it burns"} }, false, "failed: dovecot: round 1: it burns"},
		{"a row that is no more", func(r *report.Record) {}, true, "8 held"},
	} {
		recorded, now := sample(), sample()
		recorded.Ratios = append(recorded.Ratios, report.Ratio{Row: "steam", Of: "replicated", To: "dovecot", Value: 3})
		now.Systems[3].Failures = nil
		test.change(&now)
		verdict := report.Check(recorded, now)
		var out strings.Builder
		if err := verdict.Print(&out); err != nil {
			t.Fatal(err)
		}
		if verdict.OK() != test.ok || !strings.Contains(out.String(), test.says) {
			t.Errorf("%s: %v\n%s\nwant %v and %q", test.name, verdict.OK(), out.String(), test.ok, test.says)
		}
	}
}

func TestPage(t *testing.T) {
	r := sample()
	golden(t, "page.md", r.Markdown(map[string][]string{"Delivery over LMTP": {"benchmarks/delivery.svg"}}))
	for _, plot := range report.Plots() {
		svg := plot.SVG(&r)
		for d := xml.NewDecoder(strings.NewReader(svg)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s is no XML: %v\n%s", plot.File, err, svg)
			}
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "%!") || strings.Contains(svg, "Inf") {
			t.Errorf("%s has figures that are none", plot.File)
		}
	}
	golden(t, "delivery.svg", report.Plots()[0].SVG(&r))
	golden(t, "acknowledgement.svg", report.Plots()[1].SVG(&r))
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not as it was; look at it, and run with -update:\n%s", name, got)
	}
}

func TestRowsOfPlotsExist(t *testing.T) {
	keys, groups := map[string]bool{}, map[string]bool{}
	for _, group := range report.Groups() {
		groups[group.Title] = true
		for _, row := range group.Rows {
			if keys[row.Key] {
				t.Errorf("the row %s comes twice", row.Key)
			}
			keys[row.Key] = true
		}
	}
	for _, plot := range report.Plots() {
		if !groups[plot.Group] {
			t.Errorf("%s stands in no group", plot.File)
		}
		for _, row := range plot.Rows {
			if !keys[row] {
				t.Errorf("%s shows %s, which is no row", plot.File, row)
			}
		}
	}
}
