package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mailreplica/internal/devcluster"
)

// series are the sizes at which the same is measured, one after the other, each on a cluster of its own.
type series struct {
	what  string
	sizes []int
	set   func(*options, *devcluster.Options, int)
	// phases are what is done on each cluster.
	phases []string
}

const (
	growthReplicated = 1_000 // accounts that have replicas, of however many there are
	growthFew        = 50    // accounts where something else grows
)

// allSeries are what growth measures.
func allSeries() map[string]series {
	return map[string]series{
		"growth-accounts": {"accounts", []int{10, 1_000, 10_000, 100_000}, func(o *options, _ *devcluster.Options, n int) {
			o.accounts, o.replicated, o.messages = n, min(n, growthReplicated), 0
		}, []string{"accounts", "replicas", "operations", "idle", "restart"}},
		"growth-mailbox": {"messages in the folder", []int{1_000, 30_000, 1_000_000}, func(o *options, _ *devcluster.Options, n int) {
			o.accounts, o.mailbox = growthFew, n
		}, []string{"accounts", "large", "copy", "large-mail"}},
		"growth-streams": {"streams", []int{1, 8, 64}, func(o *options, c *devcluster.Options, n int) {
			o.accounts, o.replicated, o.messages, c.Streams = growthFew, 0, 1, n
		}, []string{"accounts", "replicas", "operations", "load", "idle", "restart"}},
	}
}

// grow measures a series and prints a table of it.
func grow(ctx context.Context, c devcluster.Options, o options, s series) error {
	sizes := s.sizes
	if len(o.sizes) > 0 {
		sizes = o.sizes
	}
	var columns [][]figure
	for _, n := range sizes {
		mine, of := c, o
		mine.Folder = filepath.Join(c.Folder, fmt.Sprintf("%s-%d", strings.Fields(s.what)[0], n))
		s.set(&of, &mine, n)
		say("%s: %d", s.what, n)
		figures, err := runPhases(ctx, mine, of, s.phases)
		if err != nil {
			return fmt.Errorf("%d %s: %w", n, s.what, err)
		}
		columns = append(columns, figures)
	}
	printTable(s.what, sizes, columns)
	return nil
}

// figure is what was measured of one thing.
type figure struct {
	what     string
	n        int
	took     time.Duration
	cpu      map[string]time.Duration // by process
	resident map[string]int64         // bytes, in the end
	median   time.Duration            // of one, where each was timed
}

// printTable prints a table in Markdown: a row for each thing, a column for each size. Of each thing it says what it took of the processor in
// all processes, in microseconds, and where each was timed, the median in milliseconds.
func printTable(what string, sizes []int, columns [][]figure) {
	fmt.Printf("\n| %s |", what)
	for _, n := range sizes {
		fmt.Printf(" %d |", n)
	}
	fmt.Printf("\n|---|%s\n", strings.Repeat("---|", len(sizes)))
	for _, row := range columns[0] {
		fmt.Printf("| %s |", row.what)
		for _, column := range columns {
			i := slices.IndexFunc(column, func(f figure) bool { return f.what == row.what })
			if i < 0 {
				fmt.Print(" |")
				continue
			}
			fmt.Printf(" %s |", column[i])
		}
		fmt.Println()
	}
	fmt.Println()
}

// String is a cell of the table: the processor's microseconds of broker, mbox1 and mbox2, the median, and the memory of the two mailstores.
func (f figure) String() string {
	each := func(name string) string {
		return fmt.Sprintf("%.0f", float64(f.cpu[name].Microseconds())/float64(f.n))
	}
	text := fmt.Sprintf("%s, %s, %s µs", each("broker"), each("mbox1"), each("mbox2"))
	if f.median > 0 {
		text += fmt.Sprintf("; %.2f ms", ms(f.median))
	} else {
		text += fmt.Sprintf("; %.2f s", f.took.Seconds())
	}
	return text + fmt.Sprintf("; %d, %d MB", f.resident["mbox1"]>>20, f.resident["mbox2"]>>20)
}
