// Command exact runs simulations in which nothing is left to chance, so that a seed gives the same history whenever it is run. For
// that it alters the Go runtime, for its own build alone (overlay.Exact).
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"mailreplica/internal/sim/overlay"
)

func main() {
	seed := flag.Uint64("seed", 0, "run this seed alone, and show what happens")
	trace := flag.String("trace", "", "file for what happened")
	first := flag.Uint64("first", 1, "the first seed")
	seeds := flag.Uint64("seeds", 100, "how many seeds to run")
	wait := flag.Duration("for", 0, "go on with further seeds for so long")
	build := flag.String("build", "", "only build the program, under this name; it is to be run with -exact")
	twice := flag.Bool("twice", false, "run every seed twice, in two processes, and compare what happened")
	flag.Parse()
	var err error
	if *build != "" {
		err = overlay.Build("mailreplica/internal/sim", *build, overlay.Exact)
	} else {
		err = run(*seed, *trace, *first, *seeds, wait.String(), *twice)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(seed uint64, trace string, first, seeds uint64, wait string, twice bool) error {
	folder, err := os.MkdirTemp("", "exact")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	binary, err := overlay.Test("mailreplica/internal/sim", folder, overlay.Exact)
	if err != nil {
		return err
	}
	s := simulation{binary: binary, folder: folder}
	switch {
	case twice:
		return s.compare(first, seeds)
	case seed != 0:
		if trace != "" {
			if trace, err = filepath.Abs(trace); err != nil {
				return err
			}
		}
		return s.run(os.Stdout, "-test.v", "-seed", fmt.Sprint(seed), "-trace", trace)
	}
	return s.run(os.Stdout, "-test.v", "-first", fmt.Sprint(first), "-seeds", fmt.Sprint(seeds), "-for", wait)
}

// simulation is the program that was built.
type simulation struct{ binary, folder string }

func (s simulation) run(out *os.File, args ...string) error {
	c := exec.Command(s.binary, append([]string{"-test.run", "TestSimulation$", "-test.timeout", "0", "-exact"}, args...)...)
	c.Dir, c.Stdout, c.Stderr = s.folder, out, os.Stderr
	return c.Run()
}

// compare runs seeds twice and says how many gave two histories.
func (s simulation) compare(first, seeds uint64) error {
	differ := 0
	for seed := first; seed < first+seeds; seed++ {
		a, err := s.history(seed)
		if err != nil {
			return err
		}
		b, err := s.history(seed)
		if err != nil {
			return err
		}
		line := fmt.Sprintf("seed %d: %d lines, %x", seed, bytes.Count(a, []byte("\n")), sha256.Sum256(a))
		if !bytes.Equal(a, b) {
			differ++
			line = fmt.Sprintf("seed %d: two histories, equal for %d of %d lines", seed, common(a, b), bytes.Count(a, []byte("\n")))
		}
		fmt.Println(line)
	}
	fmt.Printf("%d of %d seeds gave one history\n", seeds-uint64(differ), seeds)
	if differ > 0 {
		return errors.New("not all seeds are exact")
	}
	return nil
}

// history runs a seed and gives its trace. What it found does not matter here.
func (s simulation) history(seed uint64) ([]byte, error) {
	trace := filepath.Join(s.folder, "trace")
	_ = os.Remove(trace)
	c := exec.Command(s.binary, "-test.run", "TestSimulation$", "-test.timeout", "0", "-exact", "-seed", fmt.Sprint(seed), "-trace", trace)
	c.Dir = s.folder
	text, failed := c.CombinedOutput()
	content, err := os.ReadFile(trace)
	if err != nil {
		return nil, fmt.Errorf("seed %d: %w: %s", seed, errors.Join(failed, err), text)
	}
	return content, nil
}

func common(a, b []byte) int {
	x, y := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	n := 0
	for n < len(x) && n < len(y) && bytes.Equal(x[n], y[n]) {
		n++
	}
	return n
}
