package mailstore

import (
	"errors"
	"fmt"
	"runtime/debug"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
	"mailreplica/internal/metadata"
)

// poison says that one copy's database refuses a record that was accepted for it, or that applying it panics. Trying again does
// not help, and the stream, which other accounts live in, must not wait for it.
type poison struct {
	account account.ID
	offset  int64
	why     error
}

func (p *poison) Error() string {
	return fmt.Sprintf("account %s at offset %d: %v", p.account, p.offset, p.why)
}
func (p *poison) Unwrap() error { return p.why }

// mayPass reports whether a failure of the database may pass by itself, so that the batch is to be given again.
func mayPass(err error) bool {
	switch fault.KindOf(err) {
	case fault.DatabaseUnavailable, fault.Interrupted, fault.Busy:
		return true
	}
	return false
}

// attempt is judge; what fails for good, or panics, is poison. The transaction that it spoilt is undone as a whole.
func (b *batch) attempt(tx *metadata.Tx, share *judged, record event.Record, e eventlog.Entry) (err error) {
	defer func() {
		if p := recover(); p != nil {
			b.m.logger.Error("applying a record panicked", "account", record.Account, "offset", e.Offset, "panic", p,
				"stack", string(debug.Stack()))
			err = &poison{record.Account, e.Offset, fault.New(fault.Internal, "applying it panicked")}
		}
	}()
	if err := b.judge(tx, share, record, e); err != nil {
		if mayPass(err) {
			return err
		}
		return &poison{record.Account, e.Offset, err}
	}
	return nil
}

// flush writes the rows of all copies of the batch. A panic says no more than an error whose rows they were.
func (b *batch) flush(tx *metadata.Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			b.m.logger.Error("writing the rows of a batch panicked", "panic", p, "stack", string(debug.Stack()))
			err = fault.New(fault.Internal, "writing rows panicked")
		}
	}()
	return tx.Flush()
}

// quarantines reports whether a batch failed because of one copy alone. Then the batch is to be written again, in which that copy
// diverges at that record instead.
func (b *batch) quarantines(err error) bool {
	var p *poison
	if !errors.As(err, &p) || b.poison[p.account] != nil {
		return false
	}
	if b.poison == nil {
		b.poison = map[account.ID]*poison{}
	}
	b.poison[p.account] = p
	return true
}
