package report_test

import (
	"strings"
	"testing"
	"time"

	"mailreplica/internal/robustness/report"
)

// series is 60 samples, 5 s apart, with 10 messages between two.
func series(kind report.Kind, value func(i int) float64) *report.Series {
	return lives(60, kind, value)
}

// lives is a series of a process that is started again after so many samples.
func lives(each int, kind report.Kind, value func(i int) float64) *report.Series {
	s := &report.Series{Process: "mbox1", Figure: "goroutines", Kind: kind}
	for i := range 60 {
		s.Add(time.Duration(i)*5*time.Second, value(i), float64(10*i), i/each)
	}
	return s
}

func TestJudge(t *testing.T) {
	for _, test := range []struct {
		name   string
		series *report.Series
		ok     bool
	}{
		{"constant", series(report.Level, func(int) float64 { return 100 }), true},
		{"falls", series(report.Level, func(i int) float64 { return float64(200 - i) }), true},
		{"grows while it warms up", series(report.Level, func(i int) float64 { return float64(min(i, 20)) }), true},
		{"grows", series(report.Level, func(i int) float64 { return float64(100 + 2*i) }), false},
		{"swings", series(report.Level, func(i int) float64 { return 100 + float64(i*7919%101) }), true},
		{"swings and grows", series(report.Level, func(i int) float64 { return float64(5*i) + float64(i*7919%101) }), false},
		{"a peak at the end", series(report.Level, func(i int) float64 { return map[bool]float64{true: 500, false: 100}[i > 57] }), true},
		{"each life is higher", lives(15, report.Level, func(i int) float64 { return float64(100 + 50*(i/15)) }), true},
		{"grows in each life", lives(15, report.Level, func(i int) float64 { return float64(100 + 10*(i%15)) }), false},
		{"may grow", series(report.Grows, func(i int) float64 { return float64(100 * i) }), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if v := test.series.Judge(10); v.OK != test.ok {
				t.Errorf("got %+v, want OK %v", v, test.ok)
			}
		})
	}
	if v := series(report.Grows, func(i int) float64 { return float64(100 * i) }).Judge(0); v.PerMessage < 9.99 || v.PerMessage > 10.01 {
		t.Errorf("100 for each 10 messages are %v for each", v.PerMessage)
	}
}

func TestReports(t *testing.T) {
	all := []*report.Series{series(report.Level, func(int) float64 { return 100 }), series(report.Level, func(i int) float64 { return float64(100 * i) })}
	var table, samples, picture strings.Builder
	if ok, err := report.Table(&table, all); ok || err != nil {
		t.Errorf("a table with a figure that grows: %v, %v", ok, err)
	}
	if got := table.String(); strings.Count(got, "\n") != 4 || strings.Count(got, "**not level**") != 1 {
		t.Errorf("the table is %s", got)
	}
	if err := report.CSV(&samples, all); err != nil || strings.Count(samples.String(), "\n") != 121 {
		t.Errorf("the samples: %v, %d lines", err, strings.Count(samples.String(), "\n"))
	}
	if err := report.SVG(&picture, all); err != nil || strings.Count(picture.String(), "<polyline") != 2 {
		t.Errorf("the picture: %v, %s", err, picture.String())
	}
}
