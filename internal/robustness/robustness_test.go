package robustness_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/robustness"
	"mailreplica/internal/robustness/cluster"
	"mailreplica/internal/robustness/report"
	"mailreplica/internal/scenario"
)

var (
	seedFlag    = flag.Uint64("seed", 1, "decides what clients do, and when things fail")
	seedsFlag   = flag.Uint64("seeds", 1, "how many seeds to play every scenario with, from -seed on")
	allFlag     = flag.Bool("all", false, "play all scenarios, not just some")
	enginesFlag = flag.String("engines", "embedded,production", "on which to play")
	keepFlag    = flag.String("keep", filepath.Join(os.TempDir(), "mailreplica-robustness"), "folder for what is kept of failures")
	binFlag     = flag.String("bin", "", "folder of the programs, an absolute path; empty: they are built")
)

// ordinary are the scenarios of an ordinary run of the tests.
var ordinary = map[string][]string{
	cluster.Embedded: {
		"the home is frozen, a replica promoted, and the home goes on",
		"both sides of a cut want to be the home",
		"the home is heard by the log and does not hear it",
		"a replica is made while its source dies",
		"everything is lost at once",
		"the disk of the home is full, and a replica is promoted",
		"the volume is full",
		"changes while paused, and a death",
	},
	cluster.Production: {
		"both sides of a cut want to be the home",
		"the home is cut off from the volume",
	},
}

// TestScenarios plays scenarios on processes.
func TestScenarios(t *testing.T) {
	bin := programs(t)
	for engines := range strings.SplitSeq(*enginesFlag, ",") {
		t.Run(engines, func(t *testing.T) { playAll(t, bin, engines) })
	}
}

// playAll plays the scenarios one after another on one cluster. After a failure there is none.
func playAll(t *testing.T, bin, engines string) {
	c, err := cluster.Start(t.Context(), cluster.Options{Bin: bin, Folder: folder(t), Engines: engines})
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for seed := *seedFlag; seed < *seedFlag+*seedsFlag; seed++ {
		for i, s := range scenario.All {
			if !*allFlag && !slices.Contains(ordinary[engines], s.Name) || !playable(c, s) {
				continue
			}
			if !t.Run(s.Name, func(t *testing.T) { play(t, c, s, fmt.Sprintf("s%d-%d-", seed, i), seed) }) {
				return
			}
		}
	}
}

func playable(c *cluster.Cluster, s scenario.Scenario) bool {
	return s.Playable(&robustness.World{Cluster: c})
}

func play(t *testing.T, c *cluster.Cluster, s scenario.Scenario, prefix string, seed uint64) {
	begun := time.Now()
	w, err := robustness.NewWorld(t.Context(), c, prefix, seed, robustness.Light)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.Say = t.Logf
	err = scenario.Play(t.Context(), w, s)
	ops, acked, views := w.Traffic.Record.Counts()
	t.Logf("%d operations, %d acknowledged, %d views, in %s", ops, acked, views, time.Since(begun).Round(time.Millisecond))
	if err == nil {
		return
	}
	f := report.Failure{Scenario: s.Name, Seed: seed, Engines: c.Engines(), Problems: strings.Split(err.Error(), "\n")}
	kept, failed := report.Keep(*keepFlag, f, c, w.Traffic.Record)
	t.Fatalf("%v\nkept in %s (%v)\nto play it again: %s", err, kept, failed, f.Again())
}

// folder is a short one: sockets have their place in it.
func folder(t *testing.T) string {
	t.Helper()
	path, err := os.MkdirTemp("", "robust")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(path) })
	return path
}

// programs builds the programs, or takes those that are there.
func programs(t *testing.T) string {
	t.Helper()
	if *binFlag != "" {
		return *binFlag
	}
	bin := t.TempDir()
	out, err := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "mailreplica/cmd/mailstored").CombinedOutput()
	if err != nil {
		t.Fatalf("the programs cannot be built: %v\n%s", err, out)
	}
	return bin
}
