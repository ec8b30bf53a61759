// Command testreport reads the output of go test -json, prints a line a package and the output of whatever failed, and ends
// with status 1 if anything failed or was skipped: a run that skipped something has not tested everything.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
)

const lineBytesMax = 16 << 20

// event is one line of go test -json (cmd/test2json).
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

type key struct{ pkg, test string }

func main() {
	passed, failed, skipped, err := report(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	if failed+skipped > 0 || passed == 0 {
		os.Exit(1)
	}
}

func report(r io.Reader, w io.Writer) (passed, failed, skipped int, err error) {
	output := map[key][]string{}
	var broken []key
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, lineBytesMax)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(w, lines.Text()) // what the go command says itself
			continue
		}
		k := key{e.Package, e.Test}
		switch e.Action {
		case "output":
			output[k] = append(output[k], e.Output)
		case "build-output":
			fmt.Fprint(w, e.Output)
		case "pass":
			if e.Test == "" {
				fmt.Fprintf(w, "ok    %-45s %6.1f s\n", e.Package, e.Elapsed)
			} else {
				passed++
			}
			delete(output, k)
		case "skip":
			if e.Test != "" {
				skipped++
				broken = append(broken, k)
			}
		case "fail":
			if e.Test == "" {
				fmt.Fprintf(w, "FAIL  %-45s %6.1f s\n", e.Package, e.Elapsed)
			} else {
				failed++
			}
			broken = append(broken, k)
		}
	}
	sort.Slice(broken, func(i, j int) bool { return broken[i].pkg+broken[i].test < broken[j].pkg+broken[j].test })
	for _, k := range broken {
		fmt.Fprintf(w, "\n=== %s %s\n", k.pkg, k.test)
		for _, line := range output[k] {
			fmt.Fprint(w, line)
		}
	}
	return passed, failed, skipped, lines.Err()
}
