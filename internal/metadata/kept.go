package metadata

// keptMax bounds what a View keeps of its answers.
const keptMax = 256

// keptKey names a question for one row of a mailbox.
type keptKey struct {
	mailboxID int64
	query     string
	key       string
}

type keptRow[T any] struct {
	row   T
	found bool
}

// kept asks for one row, the first time. A View is a snapshot, in which a question has one answer however often those who compute a
// change ask it, and a server is a way off. A Tx changes its rows, and keeps nothing.
func kept[T any](v *View, k keptKey, ask func() (T, bool, error)) (T, bool, error) {
	if v.ctx == nil {
		return ask()
	}
	if err := v.usable(); err != nil {
		var none T
		return none, false, err
	}
	if known, ok := v.kept[k].(keptRow[T]); ok {
		return known.row, known.found, nil
	}
	row, found, err := ask()
	if err == nil && len(v.kept) < keptMax {
		if v.kept == nil {
			v.kept = map[keptKey]any{}
		}
		v.kept[k] = keptRow[T]{row, found}
	}
	return row, found, err
}
