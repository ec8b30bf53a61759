package main

import (
	"context"
	"fmt"
	"time"

	"mailreplica/internal/admin"
	"mailreplica/internal/bench/load"
)

// password is that of every account.
const password = "scale"

// operations measures single operations of mail beside all those accounts: one after another, spread over some of the accounts that have
// replicas, so that what one costs can be told.
func (d *driver) operations(ctx context.Context) error {
	if err := d.administration(ctx); err != nil {
		return err
	}
	names := d.names
	if d.options.replicated > 0 {
		names = names[:min(len(names), d.options.replicated)]
	}
	const sessionsMax = 8
	var chosen []string
	for i := range min(sessionsMax, len(names)) {
		chosen = append(chosen, names[i*len(names)/min(sessionsMax, len(names))])
	}
	return d.mail(ctx, chosen, operationRepeats)
}

const operationRepeats = 400

// administration measures what an administrator asks for of one account.
func (d *driver) administration(ctx context.Context) error {
	client, err := d.admin(1)
	if err != nil {
		return err
	}
	name := func(i int) string { return d.names[i*len(d.names)/oneRepeats] }
	err = d.repeated("getAccountStatus of one", oneRepeats, func(i int) error {
		_, err := client.GetAccountStatus(ctx, admin.GetStatus{Selection: admin.Selection{Accounts: []string{name(i)}}})
		return err
	})
	if err != nil {
		return err
	}
	return d.repeated("getAccount", oneRepeats, func(i int) error {
		_, err := client.GetAccount(ctx, name(i))
		return err
	})
}

const oneRepeats = 100

// mail measures delivery, and what a session does, in the INBOX of accounts in turn.
func (d *driver) mail(ctx context.Context, names []string, repeats int) error {
	c, err := d.lmtp(1)
	if err != nil {
		return err
	}
	defer c.Close()
	boxes := make([]*box, len(names))
	for i, name := range names {
		if err := deliver(c, name, d.body(name, i)); err != nil { // something to set flags of
			return err
		}
		if boxes[i], err = d.open(ctx, name); err != nil {
			return err
		}
		defer boxes[i].session.Close()
	}
	stamp := int(time.Now().UnixNano())
	of := func(do func(*box, int) error) func(int) error {
		return func(i int) error { return do(boxes[i%len(boxes)], i) }
	}
	for _, one := range []struct {
		what string
		do   func(int) error
	}{
		{"SELECT", of(func(b *box, _ int) error { return b.choose() })},
		{"delivery", of(func(b *box, i int) error { return deliver(c, b.name, d.body(b.name, stamp+i)) })},
		{"flag change", of((*box).flag)},
		{"APPEND", of(func(b *box, i int) error { return b.append(d.body(b.name, stamp+i)) })},
		{"EXPUNGE of one", of(func(b *box, _ int) error { return b.expunge() })},
	} {
		if err := d.repeated(one.what, repeats, one.do); err != nil {
			return err
		}
	}
	return nil
}

// repeated measures something that is done so often.
func (d *driver) repeated(what string, repeats int, do func(int) error) error {
	for i := range min(10, repeats) { // what is read and prepared once is no cost of the operation
		if err := do(i); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	var times load.Histogram
	return d.measuredAs(what, repeats, func() error {
		for i := range repeats {
			begun := time.Now()
			if err := do(i); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			times.Add(time.Since(begun))
		}
		return nil
	}, func(f *figure) string {
		f.median = times.Quantile(0.5)
		return fmt.Sprintf("; median %.2f ms, 99 of 100 within %.2f ms", ms(times.Quantile(0.5)), ms(times.Quantile(0.99)))
	})
}

const (
	loadConnections = 16
	loadMessages    = 2_000
)

// load delivers on many connections at once.
func (d *driver) load(ctx context.Context) error {
	accounts := make([]load.Account, len(d.names))
	for i, name := range d.names {
		accounts[i].Address = name
	}
	run := load.Delivery{
		LMTP: d.address(1, "7025"), Accounts: accounts, Connections: loadConnections, Messages: load.NewMessages(8 << 10),
		Length: patience, Count: loadMessages,
	}
	return d.measured("delivery on 16 connections", loadMessages, func() error {
		result, err := run.Run(ctx)
		if err == nil && result.Failed > 0 {
			err = fmt.Errorf("%d of %d deliveries failed: %w", result.Failed, loadMessages, result.Reason)
		}
		return err
	})
}

// box is a session that has INBOX selected.
type box struct {
	name     string
	session  *load.IMAP
	exists   int
	flagged  int      // how often a flag was changed
	appended []uint32 // UIDs, to be expunged
}

func (d *driver) open(ctx context.Context, name string) (*box, error) {
	session, err := load.DialIMAP(ctx, d.address(1, "7143"), load.Account{Login: name, Password: password})
	if err != nil {
		return nil, err
	}
	b := &box{name: name, session: session}
	return b, b.choose()
}

func (b *box) choose() error {
	return b.session.Do("SELECT INBOX", func(line []byte) {
		if n, ok := load.Exists(line); ok {
			b.exists = n
		}
	})
}

// flag sets a flag that a message has not, of messages all over the folder; when each has it, it takes it away again.
func (b *box) flag(int) error {
	if b.exists == 0 {
		return fmt.Errorf("the folder of %s is empty", b.name)
	}
	const stride = 7919 // a prime: every message has its turn
	sign := []string{"+", "-"}[b.flagged/b.exists%2]
	message := 1 + b.flagged*stride%b.exists
	b.flagged++
	return b.session.Do(fmt.Sprintf(`STORE %d %sFLAGS.SILENT (\Flagged)`, message, sign), nil)
}

func (b *box) append(body string) error {
	uid, err := b.session.Append("INBOX", []byte(body))
	b.appended = append(b.appended, uid)
	return err
}

// expunge takes away a message that was appended: it is marked as deleted, and expunged.
func (b *box) expunge() error {
	last := len(b.appended) - 1
	if last < 0 {
		return fmt.Errorf("nothing is left to expunge of %s", b.name)
	}
	uid := b.appended[last]
	b.appended = b.appended[:last]
	if err := b.session.Do(fmt.Sprintf(`UID STORE %d +FLAGS.SILENT (\Deleted)`, uid), nil); err != nil {
		return err
	}
	return b.session.Do(fmt.Sprintf("UID EXPUNGE %d", uid), nil)
}
