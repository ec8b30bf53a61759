package report

import (
	"fmt"
	"math"
	"strings"
)

// Markdown sets a record out as a page. plots are files to show, by the title of their group.
func (r *Record) Markdown(plots map[string][]string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Benchmarks\n")
	line("Written by `make bench`, which measures all systems in turn, round by round, with the same messages from the same load generator (`internal/bench/load`)")
	line("on the same machine. `docs/benchmarks/record.json` has every figure. A cell is the median of the rounds, and below it the lowest and the highest.")
	line("`docs/performance.md` tells what holds which figure back, `docs/testing.md` how to measure again.\n")
	r.about(line)
	for _, group := range Groups() {
		line("## %s\n", group.Title)
		line("%s\n", group.About)
		for _, plot := range plots[group.Title] {
			line("![%s](%s)\n", group.Title, plot)
		}
		r.table(line, group)
	}
	r.ratios(line)
	return b.String()
}

func (r *Record) about(line func(string, ...any)) {
	if r.Remark != "" {
		line("**%s**\n", r.Remark)
	}
	line("| | |")
	line("|---|---|")
	m, o := r.Machine, r.Options
	line("| when | %s, for %s |", r.Begun.UTC().Format("2006-01-02 15:04 UTC"), r.Took)
	line("| machine | %s, %d cores, %d GiB, Linux %s, %s; servers and load generator share it |", m.Processor, m.Cores, m.MemoryGiB, m.Kernel, m.Disk)
	line("| its disk, one thing at a time | %s files of 8 KiB made and synced a second, %s synced appends of 8 KiB |", number(m.SyncedFiles), number(m.SyncedAppends))
	line("| other work on it | %.1f processes wanted to run over the minute before; 0 is a machine of its own |", m.Load)
	line("| load | %d rounds, %g s of deliveries before and %g s a row, messages of %d bytes to %d accounts; first copy of %d messages in %d of the rounds |\n",
		o.Rounds, o.WarmSeconds, o.Seconds, o.MessageBytes, o.Accounts, o.CopyMessages, o.CopyRounds)
	line("## Systems\n")
	for _, s := range r.Systems {
		line("**%s** (`%s`), %s", s.Title, s.Name, s.Version)
		for _, setting := range s.Settings {
			line("- %s", setting)
		}
		for _, failure := range s.Failures {
			line("- **failed**: %s", failure)
		}
		line("")
	}
}

func (r *Record) table(line func(string, ...any), group Group) {
	head, rule := "| |", "|---|"
	for _, s := range r.Systems {
		head += " " + s.Title + " |"
		rule += "---|"
	}
	line("%s", head)
	line("%s", rule)
	for _, row := range group.Rows {
		cells := fmt.Sprintf("| %s, %s |", row.Title, row.Unit)
		for _, s := range r.Systems {
			cells += " " + cell(s.Figures[row.Key]) + " |"
		}
		line("%s", cells)
	}
	line("")
}

func cell(figures []float64) string {
	s, ok := Summarise(figures)
	switch {
	case !ok:
		return "–"
	case len(figures) == 1:
		return "**" + number(s.Median) + "**"
	}
	return fmt.Sprintf("**%s**<br>%s – %s", number(s.Median), number(s.Low), number(s.High))
}

// number shows three digits or so, with thousands set apart.
func number(f float64) string {
	switch a := math.Abs(f); {
	case a >= 1000:
		whole := fmt.Sprintf("%.0f", f)
		return whole[:len(whole)-3] + "," + whole[len(whole)-3:]
	case a >= 100:
		return fmt.Sprintf("%.0f", f)
	case a >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

// ratios shows those recorded: how many times better the first system is.
func (r *Record) ratios(line func(string, ...any)) {
	line("## Ratios\n")
	line("How many times better the first one is, by medians: twice the rate and half the time are both 2. `make bench CHECK=1` measures again and fails if one has")
	line("fallen by more than a quarter (rates and costs) or a half (times).\n")
	type pair struct{ of, to string }
	values := map[string]map[pair]float64{}
	there := map[pair]bool{}
	for _, ratio := range r.Ratios {
		if values[ratio.Row] == nil {
			values[ratio.Row] = map[pair]float64{}
		}
		p := pair{ratio.Of, ratio.To}
		values[ratio.Row][p], there[p] = ratio.Value, true
	}
	var pairs []pair
	head, rule := "| |", "|---|"
	for _, of := range ours {
		for _, to := range others {
			if p := (pair{of, to}); there[p] {
				pairs = append(pairs, p)
				head += fmt.Sprintf(" %s : %s |", of, to)
				rule += "---|"
			}
		}
	}
	line("%s", head)
	line("%s", rule)
	for _, group := range Groups() {
		for _, row := range group.Rows {
			if values[row.Key] == nil {
				continue
			}
			cells := "| " + group.Title + ": " + row.Title + " |"
			for _, p := range pairs {
				if value, ok := values[row.Key][p]; ok {
					cells += " " + number(value) + " |"
				} else {
					cells += " – |"
				}
			}
			line("%s", cells)
		}
	}
}
