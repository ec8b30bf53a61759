package directory

import (
	"fmt"
	"time"
)

// damaged is a row that no release wrote: its database is damaged, or somebody wrote into it. Nothing is made of such a row.
type damaged struct{ row, column string }

func (d *damaged) Error() string {
	return fmt.Sprintf("the row of %s is damaged: what its column %s holds was never written", d.row, d.column)
}

// claim says what a column's value has to be.
type claim struct {
	column string
	holds  bool
}

// sound is the first claim that does not hold of a row, which kind and name tell from others.
func sound(kind, name string, claims ...claim) error {
	for _, c := range claims {
		if !c.holds {
			return &damaged{row: fmt.Sprintf("the %s %.80q", kind, name), column: c.column}
		}
	}
	return nil
}

// millisMax is the last millisecond of the year 9999, beyond which times have no text.
var millisMax = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() - 1

// isTime reports whether milliseconds are a time that was written: of a clock after 1970.
func isTime(ms int64) bool { return ms >= 0 && ms <= millisMax }
