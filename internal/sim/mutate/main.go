// Command mutate shows that the simulation notices when a rule is taken away from the real code. Each break is a replacement in
// the sources, which the compiler is given as an overlay: nothing of it is ever in the code that is delivered.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"

	"mailreplica/internal/sim/overlay"
)

func main() {
	seeds := flag.Int("seeds", 200, "within how many seeds each break is to be found")
	only := flag.String("only", "", "regular expression for the names of the breaks to try")
	wait := flag.Duration("wait", 10*time.Minute, "bound on the time for one break")
	jobs := flag.Int("jobs", max(1, runtime.NumCPU()), "how many breaks are tried at once")
	flag.Parse()
	names, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	var wanted []break_
	for _, b := range breaks {
		if names.MatchString(b.name) {
			wanted = append(wanted, b)
		}
	}
	results := make([]chan result, len(wanted))
	for i := range results {
		results[i] = make(chan result, 1)
	}
	go func() {
		slots := make(chan struct{}, *jobs)
		for i, b := range wanted {
			slots <- struct{}{}
			go func() {
				results[i] <- try(b, *seeds, *wait, true)
				<-slots
			}()
		}
	}()
	missed := 0
	for i, b := range wanted {
		r := <-results[i]
		switch {
		case r.err != nil:
			missed++
			r.found = "not tried: " + r.err.Error()
		case r.found == "" && behind[b.name] != "":
			r.found = "not found: " + behind[b.name]
		case r.found == "":
			missed++
			r.found = fmt.Sprintf("**not found** in %d seeds", r.seeds)
		}
		fmt.Printf("| %s | %s | %s |\n", b.rule, b.name, r.found)
	}
	if missed > 0 {
		fmt.Fprintf(os.Stderr, "%d of %d breaks were not found within %d seeds and %s\n", missed, len(wanted), *seeds, *wait)
		os.Exit(1)
	}
}

// result is by what a break was found; empty: by nothing.
type result struct {
	found string
	seeds int // that were run, the one that found it included
	err   error
}

var seedOf = regexp.MustCompile(`seed(\d+)`)

// try builds the simulation with a break and runs it until it fails. Of an exact run the seed comes again; its first build takes minutes.
func try(b break_, seeds int, wait time.Duration, exact bool) result {
	folder, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return result{err: err}
	}
	defer os.RemoveAll(folder)
	edits, args := b.overlay(), []string{"-test.run", "TestSimulation$", "-test.v", "-test.timeout", "0", "-seeds", fmt.Sprint(seeds)}
	if exact {
		edits, args = append(edits, overlay.Exact...), append(args, "-exact")
	}
	binary, err := overlay.Test("mailreplica/internal/sim", folder, edits)
	if err != nil {
		return result{err: err}
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	run := exec.CommandContext(ctx, binary, args...)
	run.Dir = folder
	var out bytes.Buffer
	run.Stdout, run.Stderr = &out, &out
	begun := time.Now()
	err = run.Run()
	r := result{seeds: strings.Count(out.String(), "simulated in")}
	var exit *exec.ExitError
	switch {
	case err == nil || ctx.Err() != nil:
		return r
	case !errors.As(err, &exit):
		r.err = err
		return r
	}
	seed := "?"
	if all := seedOf.FindAllStringSubmatch(out.String(), -1); len(all) > 0 {
		seed = all[len(all)-1][1]
	}
	r.found = fmt.Sprintf("seed %s, %s: %s", seed, time.Since(begun).Round(time.Second), firstProblem(out.String()))
	return r
}

// firstProblem is the first line of a failure.
func firstProblem(out string) string {
	lines := strings.Split(out, "\n")
	for i, line := range lines {
		if strings.HasPrefix(strings.TrimSpace(line), "--- FAIL") || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") {
			if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal") {
				return line
			}
			for _, before := range lines[:i] {
				if strings.Contains(before, "sim_test.go:") && !strings.Contains(before, "simulated in") {
					return shorten(before[strings.Index(before, ": ")+2:])
				}
			}
		}
	}
	return "?"
}

var (
	ids      = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}`)
	widthMax = 110
)

func shorten(line string) string {
	line = ids.ReplaceAllString(line, "…")
	if len(line) > widthMax {
		line = line[:widthMax] + "…"
	}
	return line
}
