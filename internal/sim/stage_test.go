package sim_test

import (
	"flag"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"mailreplica/internal/scenario"
	"mailreplica/internal/sim"
)

// notSimulated are scenarios that need what the simulation has not.
var notSimulated = map[string]string{
	"a broker is lost":      "there is one broker",
	"a broker stands still": "there is one broker",
}

var allFlag = flag.Bool("all", false, "play all scenarios, not just some")

// someOf of the scenarios are played in an ordinary run: one in so many.
const someOf = 3

// TestScenarios plays the scenarios that are played on processes, too, each with one seed.
func TestScenarios(t *testing.T) {
	seed := max(*seedFlag, 1)
	for i, one := range scenario.All {
		if notSimulated[one.Name] != "" || !*allFlag && i%someOf != 0 {
			continue
		}
		t.Run(one.Name, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, seed)
			options := sim.Options{Seed: seed, Folder: folder(t, seed), Scenario: &one}
			watchdog := time.AfterFunc(standstillMax, func() { panic(one.Name + " stands still") })
			defer watchdog.Stop()
			var report sim.Report
			var err error
			synctest.Test(t, func(t *testing.T) { report, err = sim.Run(t.Context(), options, nil) })
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d operations, %d done, %s simulated", report.Ops, report.Done, report.Virtual)
			if len(report.Problems) > 0 {
				t.Fatalf("%s\nreplay: go test ./internal/sim -run 'TestScenarios/%s$' -v -all -seed %d", strings.Join(report.Problems, "\n"),
					strings.ReplaceAll(one.Name, " ", "_"), seed)
			}
		})
	}
}
