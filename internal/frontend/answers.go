package frontend

import (
	"context"
	"slices"
	"sync"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/lmtp"
	"mailreplica/internal/mailbox"
)

// Limits of what is remembered of answered deliveries. To forget one is harmless: the same mail, sent anew, would be taken
// for a repeat.
const (
	answersPerAccountMax = 1_000
	answersMax           = 500_000
	flushEvery           = time.Second
	lastFlushWait        = 3 * time.Second
)

// answers keeps deliveries that are known to have been answered until a change of their account carries that (design
// section 4, "answered"). It costs no change of its own where deliveries go on.
type answers struct {
	mu       sync.Mutex
	accounts map[account.ID]*answeredOf
	total    int
}

type answeredOf struct {
	receipts []lmtp.Receipt
	since    time.Time // of the oldest
}

func newAnswers() *answers { return &answers{accounts: map[account.ID]*answeredOf{}} }

func (a *answers) add(r lmtp.Receipt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	of := a.accounts[r.Account]
	if of == nil {
		if a.total >= answersMax {
			return
		}
		of = &answeredOf{since: time.Now()}
		a.accounts[r.Account] = of
	}
	if len(of.receipts) >= answersPerAccountMax {
		of.receipts = of.receipts[1:]
		a.total--
	}
	of.receipts = append(of.receipts, r)
	a.total++
}

// into forgets in a transaction what is known to have been answered, and gives what it has read for done. A delivery of the
// same bytes with another sequence is a later one, and stays.
func (a *answers) into(d *mailbox.Draft, id account.ID) ([]lmtp.Receipt, error) {
	receipts := a.of(id)
	var keys []mailbox.DeliveryKey
	for _, r := range receipts {
		known, found, err := d.Delivery(r.Key)
		if err != nil {
			return nil, err
		}
		if found && known.Sequence == r.Sequence {
			keys = append(keys, r.Key)
		}
	}
	if len(keys) == 0 {
		return receipts, nil
	}
	return receipts, d.Answered(keys)
}

func (a *answers) of(id account.ID) []lmtp.Receipt {
	a.mu.Lock()
	defer a.mu.Unlock()
	if of := a.accounts[id]; of != nil {
		return slices.Clone(of.receipts)
	}
	return nil
}

// done drops what a committed transaction has carried.
func (a *answers) done(id account.ID, carried []lmtp.Receipt) {
	if len(carried) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	of := a.accounts[id]
	if of == nil {
		return
	}
	gone := make(map[lmtp.Receipt]bool, len(carried))
	for _, r := range carried {
		gone[r] = true
	}
	before := len(of.receipts)
	of.receipts = slices.DeleteFunc(of.receipts, func(r lmtp.Receipt) bool { return gone[r] })
	a.total -= before - len(of.receipts)
	of.since = time.Now()
	if len(of.receipts) == 0 {
		delete(a.accounts, id)
	}
}

// waiting are the accounts that have waited for longer than a while.
func (a *answers) waiting(longer time.Duration) []account.ID {
	a.mu.Lock()
	defer a.mu.Unlock()
	var ids []account.ID
	for id, of := range a.accounts {
		if time.Since(of.since) >= longer {
			ids = append(ids, id)
		}
	}
	return ids
}

func (a *answers) forget(id account.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if of := a.accounts[id]; of != nil {
		a.total -= len(of.receipts)
		delete(a.accounts, id)
	}
}

// Answered implements lmtp.Backend. What another mailstore says of an account whose home is elsewhere is not passed on: the
// two might disagree for ever.
func (l *LMTP) Answered(receipts []lmtp.Receipt, relayed bool) {
	for _, r := range receipts {
		a, known := l.router.config.Follower.Copy().Account(r.Account)
		if !known {
			l.router.answers.add(r)
			continue
		}
		route, err := l.router.route(a)
		switch {
		case err != nil: // it is being deleted
		case route.Local:
			l.router.answers.add(r)
		case !relayed:
			l.abroad.add(route.Home, r)
			l.wakeRun()
		}
	}
}

// wakeRun has homes told at once: until then the same bytes, sent on purpose through another mailstore, pass for a repeat.
func (l *LMTP) wakeRun() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run tells homes of answered deliveries, and makes changes for those that no other change has carried, until ctx ends.
func (l *LMTP) Run(ctx context.Context) {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-l.wake:
			l.tellHomes(ctx)
		case <-ticker.C:
			l.tellHomes(ctx)
			l.flushAnswers(ctx, l.flush)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlushWait)
			defer cancel()
			l.tellHomes(last)
			l.flushAnswers(last, 0)
			return
		}
	}
}

func (l *LMTP) tellHomes(ctx context.Context) {
	for _, name := range l.abroad.names() {
		home, known := l.router.config.Follower.Copy().Mailstore(name)
		receipts := l.abroad.take(name)
		if !known || len(receipts) == 0 {
			continue
		}
		if err := l.relay.Answered(ctx, lmtp.Home{FQDN: name, Addr: home.LMTPAddr}, receipts); err != nil {
			l.logger.Debug("a home was not told of answered deliveries", "home", name, "count", len(receipts), "error", err)
		}
	}
}

func (l *LMTP) flushAnswers(ctx context.Context, longer time.Duration) {
	for _, id := range l.router.answers.waiting(longer) {
		if err := l.flushAccount(ctx, id); err != nil {
			l.logger.Debug("answered deliveries are kept for later", "account", id, "error", err)
			if fault.Is(err, fault.LogUnavailable) || fault.Is(err, fault.DatabaseUnavailable) || ctx.Err() != nil {
				return // the others would fare no better
			}
			l.router.answers.forget(id)
		}
	}
}

func (l *LMTP) flushAccount(ctx context.Context, id account.ID) error {
	held, ok := l.router.config.Mailstore.Account(id)
	if !ok {
		return fault.New(fault.NotFound, "account %s has no copy here", id)
	}
	var carried []lmtp.Receipt
	err := held.Update(ctx, func(d *mailbox.Draft) (err error) {
		carried, err = l.router.answers.into(d, id)
		return err
	})
	if err == nil {
		l.router.answers.done(id, carried)
	}
	return err
}
