package metadata

import "strings"

// ordered is a query whose rows follow each other along a key, so that reading can go on behind any of them.
type ordered struct {
	query  string   // without an order; it has a condition already
	key    []string // columns, ascending; no two rows have the same
	index  string   // that has this order, for engines that may take another one and sort
	atOnce int      // rows that are read at once where an engine has to; 0: chunkRows

	grouped bool // into one row for each key
}

const (
	// chunkRows are read at once by an engine that cannot answer a question while it is in the middle of another. The first
	// chunk is smaller, for many readers stop early.
	chunkRows      = 4096
	chunkRowsFirst = 64

	// heavyRows is chunkRows for rows of up to megabytes.
	heavyRows = 128
)

// walk yields the rows of a query that follow after, in the order of the key, until yield says stop. yield may ask the same View
// other questions, and gets decoded rows, so it may take its time: no engine waits for it in the middle of a result.
//
// An engine that streams is asked once. Of others rows are read in chunks, each behind the last row of the one before: in one
// View all chunks are of one snapshot.
func walk[R any](
	v *View, o ordered, args, after []any, scan func(*cursor) (R, error), keyOf func(*R) []any, yield func(R) bool,
) error {
	d := v.store.dialect
	text := o.text(d)
	bound := func() []any { return append(append([]any(nil), args...), d.afterValues(after)...) }
	if d.traits().streams {
		return v.each(text, bound(), func(cur *cursor) (bool, error) {
			row, err := scan(cur)
			return err == nil && yield(row), err
		})
	}
	most := chunkRows
	if o.atOnce > 0 {
		most = o.atOnce
	}
	for limit := min(most, chunkRowsFirst); ; limit = min(most, 4*limit) {
		chunk, err := collect(v, text+" LIMIT ?", append(bound(), int64(limit)), scan)
		if err != nil {
			return err
		}
		for i := range chunk {
			if !yield(chunk[i]) {
				return nil
			}
		}
		if len(chunk) < limit {
			return nil
		}
		after = keyOf(&chunk[len(chunk)-1])
		if err := v.usable(); err != nil {
			return err
		}
	}
}

func (o ordered) text(d dialect) string {
	text, key := o.query+" AND "+d.after(o.key), strings.Join(o.key, ", ")
	if o.index != "" {
		text = strings.Replace(text, " WHERE ", d.by(o.index)+" WHERE ", 1)
	}
	if o.grouped {
		text += " GROUP BY " + key
	}
	return text + " ORDER BY " + key
}

// collect reads all rows of a query that has few.
func collect[R any](v *View, query string, args []any, scan func(*cursor) (R, error)) (all []R, err error) {
	err = v.each(query, args, func(cur *cursor) (bool, error) {
		row, err := scan(cur)
		if err == nil {
			all = append(all, row)
		}
		return true, err
	})
	return all, err
}

// first is the first row of a query.
func first[R any](v *View, query string, args []any, scan func(*cursor) (R, error)) (row R, found bool, err error) {
	err = v.each(query, args, func(cur *cursor) (bool, error) {
		var err error
		row, err = scan(cur)
		found = err == nil
		return false, err
	})
	return row, found, err
}
