package load

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Mailbox is work on folders over IMAP: each connection logs in to an account of its own, and appends, flags, moves and expunges
// messages one at a time. Each step takes what the one before left, and ends early when a connection has no message left for it.
type Mailbox struct {
	IMAP        string // address
	Accounts    []Account
	Connections int
	Messages    *Messages
	Length      time.Duration // of each step
	Folder      string        // a name for folders that are not there yet
}

// Worked is what each step measured.
type Worked struct{ Append, Flag, Move, Expunge Result }

// user is one connection and the messages that its next step works on.
type user struct {
	*IMAP
	uids    []uint32
	next    int
	message []byte
}

// Run works.
func (m Mailbox) Run(ctx context.Context) (w Worked, err error) {
	if m.Connections > len(m.Accounts) {
		return w, fmt.Errorf("%d connections need as many accounts, there are %d", m.Connections, len(m.Accounts))
	}
	users := make([]*user, m.Connections)
	defer func() {
		for _, u := range users {
			if u != nil {
				_ = u.Close() // its commands are answered
			}
		}
	}()
	for i := range users {
		if users[i], err = m.login(ctx, m.Accounts[i]); err != nil {
			return w, err
		}
	}
	step := func(into *Result, name string, prepare func(*user) error, do func(*user) (bool, error)) {
		if err == nil {
			err = each(users, prepare)
		}
		if err == nil {
			*into, err = m.step(ctx, users, do)
		}
		if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
	}
	step(&w.Append, "append", (*user).nothing, m.append)
	step(&w.Flag, "flag change", m.open, (*user).flag)
	step(&w.Move, "move", (*user).rewind, m.move)
	step(&w.Expunge, "expunge", m.mark, (*user).expunge)
	return w, err
}

func (m Mailbox) login(ctx context.Context, who Account) (*user, error) {
	c, err := DialIMAP(ctx, m.IMAP, who)
	if err != nil {
		return nil, err
	}
	for _, folder := range []string{m.Folder, m.moved()} {
		if err = c.Do("CREATE "+folder, nil); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return &user{IMAP: c}, nil
}

func (m Mailbox) moved() string { return m.Folder + "-moved" }

func (m Mailbox) step(ctx context.Context, users []*user, do func(*user) (bool, error)) (Result, error) {
	return run(ctx, len(users), m.Length, func(worker int) (time.Duration, bool, error) {
		begun := time.Now()
		more, err := do(users[worker])
		return time.Since(begun), more, err
	})
}

// each prepares all users, one after the other.
func each(users []*user, prepare func(*user) error) error {
	for _, u := range users {
		if err := prepare(u); err != nil {
			return err
		}
	}
	return nil
}

func (u *user) nothing() error { return nil }

func (m Mailbox) append(u *user) (bool, error) {
	u.message = m.Messages.Append(u.message[:0])
	uid, err := u.Append(m.Folder, u.message)
	if err == nil {
		u.uids = append(u.uids, uid)
	}
	return true, err
}

func (m Mailbox) open(u *user) error {
	if len(u.uids) == 0 {
		return errors.New("a connection has no message to work on: give more time")
	}
	return u.Do("SELECT "+m.Folder, nil)
}

// flag sets a flag of each message in turn, and in the next round takes it away.
func (u *user) flag() (bool, error) {
	sign := '+'
	if (u.next/len(u.uids))%2 == 1 {
		sign = '-'
	}
	uid := u.uids[u.next%len(u.uids)]
	u.next++
	return true, u.Do(fmt.Sprintf(`UID STORE %d %cFLAGS.SILENT (\Flagged)`, uid, sign), nil)
}

func (u *user) rewind() error {
	u.next = 0
	return nil
}

// take is the next message that was not worked on.
func (u *user) take() (uid uint32, there bool) {
	if u.next == len(u.uids) {
		return 0, false
	}
	u.next++
	return u.uids[u.next-1], true
}

func (m Mailbox) move(u *user) (bool, error) {
	uid, there := u.take()
	if !there {
		return false, nil
	}
	return true, u.Do(fmt.Sprintf("UID MOVE %d %s", uid, m.moved()), nil)
}

// mark has all moved messages marked as deleted, which is not timed.
func (m Mailbox) mark(u *user) (err error) {
	if err := u.Do("SELECT "+m.moved(), nil); err != nil {
		return err
	}
	if u.uids, err = u.UIDs(); err != nil {
		return err
	}
	if u.next = 0; len(u.uids) == 0 {
		return errors.New("a connection has moved no message: give more time")
	}
	return u.Do(`UID STORE 1:* +FLAGS.SILENT (\Deleted)`, nil)
}

func (u *user) expunge() (bool, error) {
	uid, there := u.take()
	if !there {
		return false, nil
	}
	return true, u.Do(fmt.Sprintf("UID EXPUNGE %d", uid), nil)
}
