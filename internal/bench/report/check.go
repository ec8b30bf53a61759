package report

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Verdict is how a run compares with the recorded one.
type Verdict struct {
	Regressions []Comparison // ratios that fell by more than their row allows
	Held        int          // ratios that did not
	Missing     []Ratio      // recorded, and of systems that were measured, but without a figure now
	Unmeasured  int          // recorded ratios of systems that were left out
	Failures    []string     // of systems
}

// Comparison is a ratio then and now.
type Comparison struct {
	Row       Row
	Then, Now Ratio
}

// OK reports whether nothing fell, and nothing that was to be measured failed.
func (v Verdict) OK() bool { return len(v.Regressions)+len(v.Missing)+len(v.Failures) == 0 }

// Check compares the ratios of a run with those recorded. Systems that were left out are not compared.
func Check(recorded, now Record) (v Verdict) {
	for _, s := range now.Systems {
		for _, failure := range s.Failures {
			v.Failures = append(v.Failures, s.Name+": "+failure)
		}
	}
	for _, then := range recorded.Ratios {
		row, known := rowOf(then.Row)
		switch {
		case !known:
			continue // it is measured no more
		case now.system(then.Of) == nil || now.system(then.To) == nil:
			v.Unmeasured++
			continue
		}
		value, ok := now.ratio(row, then.Of, then.To)
		switch {
		case !ok:
			v.Missing = append(v.Missing, then)
		case value < then.Value*(1-row.Tolerance):
			v.Regressions = append(v.Regressions, Comparison{row, then, Ratio{then.Row, then.Of, then.To, value}})
		default:
			v.Held++
		}
	}
	return v
}

func rowOf(key string) (Row, bool) {
	for _, group := range Groups() {
		for _, row := range group.Rows {
			if row.Key == key {
				return row, row.Tolerance > 0
			}
		}
	}
	return Row{}, false
}

// Print shows a verdict as a table.
func (v Verdict) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(v.Regressions) > 0 {
		fmt.Fprintln(t, "row\tof\tto\trecorded\tnow\tchange\tallowed")
	}
	for _, c := range v.Regressions {
		fmt.Fprintf(t, "%s\t%s\t%s\t%.2f\t%.2f\t%+.0f %%\t%+.0f %%\n", c.Row.Key, c.Now.Of, c.Now.To, c.Then.Value, c.Now.Value,
			100*(c.Now.Value/c.Then.Value-1), -100*c.Row.Tolerance)
	}
	for _, missing := range v.Missing {
		fmt.Fprintf(t, "%s\t%s\t%s\t%.2f\tno figure\n", missing.Row, missing.Of, missing.To, missing.Value)
	}
	for _, failure := range v.Failures {
		fmt.Fprintf(t, "failed: %s\n", failure)
	}
	fmt.Fprintf(t, "%d ratios fell, %d held, %d without a figure, %d of systems that were left out, %d failures\n",
		len(v.Regressions), v.Held, len(v.Missing), v.Unmeasured, len(v.Failures))
	return t.Flush()
}
