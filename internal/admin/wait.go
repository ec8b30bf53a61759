package admin

import (
	"context"
	"sync"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/operation"
	"mailreplica/internal/peer"
)

// verdict is what a look at an item of an operation tells: nothing yet, done, or failed.
type verdict struct {
	done bool
	err  error
}

// waited is an item that an operation waits for.
type waited struct {
	item operation.Item
	id   account.ID
}

// waiter waits for what mailstores do about wishes that were recorded. An item whose mailstore, or whose mailstore's log,
// does not answer for long fails with a message that says so: the wish stays, and is carried out later all the same.
type waiter struct {
	a       *Admin
	task    *operation.Task
	patient bool // initialisation may take its time: an item fails only if it cannot come to be
	blind   bool // judge looks at the directory alone: the homes need not say how their copies are
	judge   func(ctx context.Context, w waited) verdict
	asked   map[string]telling       // the last answers
	since   map[string]time.Time     // by mailstore, since when it or its log does not answer
	unfit   map[account.ID]time.Time // since when the home answers, but has no copy that could do what is wished
}

// run waits until every item has an outcome, or ctx ends.
func (w *waiter) run(ctx context.Context) error {
	pending, err := w.pending()
	if err != nil {
		return err
	}
	w.since, w.unfit = make(map[string]time.Time), make(map[account.ID]time.Time)
	ticker := time.NewTicker(w.a.Pace.Look)
	defer ticker.Stop()
	var next time.Time
	for {
		if begun := time.Now(); !begun.Before(next) {
			w.ask(ctx, pending)
			// Of many accounts much is told: most of the time is left for what they wait for.
			next = begun.Add(max(w.a.Pace.Ask, askShare*time.Since(begun)))
		}
		left := pending[:0]
		for _, one := range pending {
			switch v := w.judgeOne(ctx, one); {
			case v.err != nil:
				w.task.Failed(one.item, v.err)
			case v.done:
				w.task.Succeeded(one.item, "")
			default:
				left = append(left, one)
			}
		}
		if pending = left; len(pending) == 0 {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fault.Wrap(fault.Interrupted, ctx.Err(), "no longer waiting")
		}
	}
}

func (w *waiter) pending() ([]waited, error) {
	items := w.task.Pending()
	all := make([]waited, len(items))
	for i, item := range items {
		id, err := account.ParseID(item.Account)
		if err != nil {
			return nil, fault.Wrap(fault.Internal, err, "an item of the operation is no account's id")
		}
		all[i] = waited{item, id}
	}
	return all, nil
}

// askShare is one in how much of the time is spent on asking.
const askShare = 10

// ask nudges the homes of the accounts that are waited for, asks how their copies are, and notes who does not answer.
func (w *waiter) ask(ctx context.Context, pending []waited) {
	wanted := make(map[string][]account.ID)
	for _, one := range pending {
		if wish, known := w.a.copy.Account(one.id); known {
			wanted[wish.MailHost] = append(wanted[wish.MailHost], one.id)
		}
	}
	var nudges sync.WaitGroup
	for fqdn := range wanted {
		nudges.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, nudgeWait)
			defer cancel()
			if err := w.a.nudge(ctx, fqdn); err != nil {
				w.a.Logger.Debug("a mailstore could not be nudged", "mailstore", fqdn, "error", err) // ask tells more
			}
		})
	}
	nudges.Wait()
	if w.blind && w.patient {
		return
	}
	w.asked = tellings(w.a.ask(ctx, wanted))
	for fqdn := range wanted {
		status, answers := w.asked[fqdn]
		switch _, known := w.since[fqdn]; {
		case answers && status.logReachable:
			delete(w.since, fqdn)
		case !known:
			w.since[fqdn] = time.Now()
		}
	}
}

func (w *waiter) judgeOne(ctx context.Context, one waited) verdict {
	v := w.judge(ctx, one)
	if v.done || v.err != nil || w.patient {
		return v
	}
	wish, known := w.a.copy.Account(one.id)
	if !known {
		return v
	}
	since, silent := w.since[wish.MailHost]
	if !silent {
		return w.judgeUnfit(one, wish)
	}
	if time.Since(since) < w.a.Pace.Patience {
		return v
	}
	if _, answers := w.asked[wish.MailHost]; answers {
		return verdict{err: fault.New(fault.LogUnavailable, "%s: recorded, but the event log does not answer %s, so it is not carried out yet",
			wish.Name, wish.MailHost).WithHint("it is carried out when the brokers answer again; check them with MailReplica test")}
	}
	return verdict{err: fault.New(fault.HomeUnreachable, "%s: recorded, but its home %s does not answer, so it is not carried out yet",
		wish.Name, wish.MailHost).WithHint("it is carried out when that mailstore returns or the account is promoted")}
}

// judgeUnfit fails an item whose home answers and reaches the log, but cannot do it for want of a complete copy.
func (w *waiter) judgeUnfit(one waited, wish directory.Account) verdict {
	c, told := w.copyOf(one.id)
	if told && c.Condition == conditionComplete {
		delete(w.unfit, one.id)
		return verdict{}
	}
	since, known := w.unfit[one.id]
	switch {
	case !known:
		w.unfit[one.id] = time.Now()
		return verdict{}
	case time.Since(since) < w.a.Pace.Patience:
		return verdict{}
	}
	state := "not there"
	if told {
		state = c.Condition
	}
	return verdict{err: fault.New(fault.Unusable, "%s: recorded, but its mailbox on its home %s is %s, so it is not carried out yet",
		wish.Name, wish.MailHost, state).WithHint("promote a replica; MailReplica getAccountStatus shows their state")}
}

// copyOf is the account's own copy at its home, as last told.
func (w *waiter) copyOf(id account.ID) (peer.CopyStatus, bool) {
	wish, known := w.a.copy.Account(id)
	if !known {
		return peer.CopyStatus{}, false
	}
	c, told := w.asked[wish.MailHost].copies[id]
	return c, told
}
