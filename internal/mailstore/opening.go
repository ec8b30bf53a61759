package mailstore

import (
	"context"

	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/protocol"
)

// Replicate makes the log decide for the account from now on: mode opening, fsynced, then Open, read back (rule 6). It is
// repeated after a crash, and does nothing for an account that the log decides for already.
//
// An account that commits by itself must not lose its service to brokers that are away, or do not take writes. They are asked
// first, outside of the account's turn; and an Open that they do not confirm soon is cancelled.
func (a *Account) Replicate(ctx context.Context, stream protocol.Stream) error {
	if a.Copy().Mode == protocol.Local {
		asking, cancel := context.WithTimeout(ctx, confirmWait)
		defer cancel()
		if err := a.m.confirm(asking, stream); err != nil {
			return err
		}
	}
	return a.enter(ctx, func(ctx context.Context) error {
		opening, cancel := context.WithTimeoutCause(ctx, openingWait,
			fault.New(fault.LogUnavailable, "the event log did not confirm the account's opening within %s", openingWait))
		defer cancel()
		err := a.open(opening, stream)
		if err == nil || a.Copy().Mode != protocol.Opening || a.m.ctx.Err() != nil {
			return err
		}
		if cancelled := a.cancelOpening(); cancelled != nil && a.Copy().Mode == protocol.Opening {
			return cancelled
		}
		if a.Copy().IsOpen() { // its Open was read in the last moment
			return nil
		}
		a.m.logger.Warn("the event log does not confirm that it decides for an account, which goes on by itself",
			"account", a.id, "error", err)
		return err
	})
}

// open begins and appends the Open until it has been read back. It ends early with the context; then the copy may be opening.
func (a *Account) open(ctx context.Context, stream protocol.Stream) error {
	for {
		c := a.Copy()
		if c.IsOpen() {
			return nil
		}
		if c.Mode == protocol.Opening {
			stream = c.Stream
		}
		if err := a.m.streams.Follow(ctx, stream.Partition); err != nil && c.Mode == protocol.Local {
			return err // else it has begun already: after a start, the brokers may just be being looked for
		}
		record, c, err := a.beginOpening(ctx, stream)
		if err != nil {
			return err
		}
		if _, err := a.ride(ctx, c, &pending{Pending: protocol.Pending{Records: []event.Record{record}}}); err != nil {
			return err
		}
		if c := a.Copy(); c.Condition != protocol.Complete {
			return fault.New(fault.Unusable, "the account's copy is %s", c.Condition)
		}
	}
}

func (a *Account) beginOpening(ctx context.Context, stream protocol.Stream) (event.Record, *protocol.Copy, error) {
	a.state.Lock()
	defer a.state.Unlock()
	c := a.Copy().Clone()
	record, err := c.BeginOpening(stream)
	if err != nil {
		return record, c, err
	}
	if err := a.save(ctx, c); err != nil {
		return record, c, err
	}
	a.live = true
	return record, c, nil
}

// cancelOpening lets this database commit again, in the epoch of the Open, which may have been written.
func (a *Account) cancelOpening() error {
	a.state.Lock()
	defer a.state.Unlock()
	c := a.Copy().Clone()
	if err := c.CancelOpening(); err != nil {
		return err
	}
	if err := a.save(a.m.ctx, c); err != nil {
		return err
	}
	go a.m.notify(a.id) // the directory has to know the epoch
	return nil
}
