package sim_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"mailreplica/internal/mailbox"
	"mailreplica/internal/sim"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "simulate this seed alone, and show what happens")
	seedsFlag = flag.Uint64("seeds", 3, "how many seeds to simulate")
	firstFlag = flag.Uint64("first", 1, "the first of them")
	timeFlag  = flag.Duration("for", 0, "go on with further seeds for so long")
	exactFlag = flag.Bool("exact", false, "leave nothing to chance: only in programs that package exact has built")
	traceFlag = flag.String("trace", "", "file for what happened in the last run")
)

// standstillMax bounds the real time of a run. In virtual time nothing stands still but what waits for a mutex that is held by
// what waits for time to pass.
const standstillMax = 5 * time.Minute

func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(1) // the fewer goroutines run at once, the less is left to chance
	mailbox.CheckMemory(true)
	os.Exit(m.Run())
}

// TestSimulation simulates clusters. A failure names its seed.
func TestSimulation(t *testing.T) {
	if *seedFlag != 0 {
		simulate(t, *seedFlag)
		return
	}
	begun := time.Now()
	for seed := *firstFlag; seed < *firstFlag+*seedsFlag || time.Since(begun) < *timeFlag; seed++ {
		if !t.Run(fmt.Sprint("seed", seed), func(t *testing.T) { simulate(t, seed) }) {
			return
		}
	}
}

func simulate(t *testing.T, seed uint64) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	options := sim.Options{Seed: seed, Folder: folder(t, seed), Exact: *exactFlag}
	var live io.Writer
	if *seedFlag != 0 && testing.Verbose() {
		live = os.Stdout
	}
	begun := time.Now()
	watchdog := time.AfterFunc(standstillMax, func() { panic(fmt.Sprintf("seed %d stands still", seed)) })
	defer watchdog.Stop()
	var report sim.Report
	var err error
	synctest.Test(t, func(t *testing.T) { report, err = sim.Run(t.Context(), options, live) })
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d: %d operations, %d done, %d views, %d lives, %d steps to an order, %d given up, %s simulated in %s", seed, report.Ops, report.Done, report.Views,
		report.Lives, report.Steps, report.GivenUp, report.Virtual, time.Since(begun).Round(time.Millisecond))
	if *traceFlag != "" {
		if err := os.WriteFile(*traceFlag, []byte(report.Trace), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if len(report.Problems) > 0 {
		t.Fatalf("%s\nreplay: %s", strings.Join(report.Problems, "\n"), replay(seed))
	}
}

// folder is in memory where the machine has a place for that: nothing here needs a real disk. In an exact run it is always called the
// same, for what is found where in a map depends on names; who runs the same seed meanwhile waits.
func folder(t *testing.T, seed uint64) string {
	t.Helper()
	base := "/dev/shm"
	if info, err := os.Stat(base); err != nil || !info.IsDir() {
		base = os.TempDir()
	}
	if !*exactFlag {
		path, err := os.MkdirTemp(base, "sim")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(path) })
		return path
	}
	path := filepath.Join(base, fmt.Sprintf("sim-exact-%016x", seed))
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.RemoveAll(path), os.Mkdir(path, 0o700)); err != nil { // a run that was killed has left it
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.RemoveAll(path)
		_ = lock.Close()
	})
	return path
}

// replay is the command that runs a seed again. Only an exact run gives the same history for certain.
func replay(seed uint64) string {
	if *exactFlag {
		return fmt.Sprintf("make sim SEED=%d", seed)
	}
	return fmt.Sprintf("make sim SEED=%d; if all goes well there, this run's order of things was another: go test ./internal/sim -run 'TestSimulation$' "+
		"-v -count 10 -seed %d", seed, seed)
}
