// Package robustness plays the scenarios on clusters of ordinary processes, on the embedded engines and on Kafka, MariaDB and S3,
// while clients work on them over LMTP and IMAP. Its parts: cluster (processes), failpoint (what fails), traffic (who works),
// model (what clients were told), validate (whether it holds), report (what went wrong).
package robustness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/pause"
	"mailreplica/internal/robustness/cluster"
	"mailreplica/internal/robustness/traffic"
	"mailreplica/internal/robustness/validate"
	"mailreplica/internal/scenario"
)

const (
	password   = "correct horse"
	workWait   = 3 * time.Minute // for changes to be acknowledged
	settleWait = 10 * time.Minute
	pollEvery  = 10 * time.Millisecond
)

// World is a cluster on which one scenario is played, with accounts of its own. It is a scenario.World.
type World struct {
	Cluster *cluster.Cluster
	Traffic *traffic.Traffic
	Say     func(format string, args ...any)

	accounts []traffic.Account
	random   *rand.Rand
	trying   sync.WaitGroup
	stopped  bool
}

// Load says how much is done on a world.
type Load struct {
	Accounts, Senders, Sessions int
	Pace                        time.Duration
	MostRows                    int
}

// Light is the load under which scenarios are played.
var Light = Load{Accounts: 2, Senders: 1, Sessions: 2, Pace: 10 * time.Millisecond, MostRows: 60}

// NewWorld makes accounts whose names begin so, with their replicas, and starts to work on them.
func NewWorld(ctx context.Context, c *cluster.Cluster, prefix string, seed uint64, load Load) (*World, error) {
	w := &World{Cluster: c, random: rand.New(rand.NewPCG(seed, 1)), Say: func(string, ...any) {}}
	for i := range load.Accounts {
		a := traffic.Account{Name: fmt.Sprintf("%s%d@example.com", prefix, i+1), Password: password}
		text, err := c.CreateAccount(ctx, a.Name, a.Password)
		if err != nil {
			return nil, err
		}
		if a.ID, err = account.ParseID(text); err != nil {
			return nil, err
		}
		w.accounts = append(w.accounts, a)
	}
	for _, m := range c.Stores[1:] {
		if err := c.Replicate(ctx, m, w.names()); err != nil {
			return nil, err
		}
	}
	if err := c.Settled(ctx, w.names()); err != nil {
		return nil, err
	}
	o := traffic.Options{Seed: seed, Accounts: w.accounts, Senders: load.Senders, Sessions: load.Sessions, Pace: load.Pace, MostRows: load.MostRows}
	for _, m := range c.Stores {
		o.LMTP, o.IMAP = append(o.LMTP, m.LMTP), append(o.IMAP, m.IMAP)
	}
	w.Traffic = traffic.Start(o)
	return w, nil
}

func (w *World) names() (all []string) {
	for _, a := range w.accounts {
		all = append(all, a.Name)
	}
	return all
}

// timed says how long something took, when it has ended.
func (w *World) timed(what string) func() {
	begun := time.Now()
	return func() { w.Say("%s: %s", what, time.Since(begun).Round(time.Millisecond)) }
}

// Has implements scenario.World.
func (w *World) Has(step scenario.Step) bool { return w.Cluster.Has(step) }

// Work implements scenario.World.
func (w *World) Work(ctx context.Context, changes int) error {
	defer w.timed("work")()
	from := w.Traffic.Record.Acked()
	for end := time.Now().Add(workWait); ctx.Err() == nil; time.Sleep(pollEvery) {
		done := w.Traffic.Record.Acked() - from
		if done >= changes {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d changes are acknowledged after %s", done, changes, workWait)
		}
	}
	return ctx.Err()
}

// Pass implements scenario.World: for half the time up to one and a half, as the seed says.
func (w *World) Pass(ctx context.Context, d time.Duration) error {
	return pause.For(ctx, d/2+time.Duration(w.random.Int64N(int64(d)+1)))
}

// Do implements scenario.World.
func (w *World) Do(ctx context.Context, step scenario.Step) error {
	defer w.timed(step.String())()
	m := w.Cluster.Store(step.At)
	switch step.Do {
	case scenario.Promote:
		return w.Cluster.Promote(ctx, m, w.names())
	case scenario.TryPromote:
		w.trying.Go(func() { w.Say("promoted to %s: %v", m.FQDN, w.Cluster.PromoteOnce(ctx, m, w.names())) })
		return nil
	case scenario.Replicate:
		return w.Cluster.Replicate(ctx, m, w.names())
	case scenario.Withdraw:
		return w.Cluster.Withdraw(ctx, m, w.names())
	case scenario.Pause, scenario.Resume:
		return w.Cluster.Pause(ctx, w.names(), step.Do == scenario.Pause)
	case scenario.Freeze:
		w.Traffic.Still(m != nil)
	}
	return w.Cluster.Do(ctx, step)
}

// Settle implements scenario.World.
func (w *World) Settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	if err := w.whole(ctx); err != nil {
		return err
	}
	held := w.timed("everybody waits")
	release := w.Traffic.Hold()
	defer release()
	held()
	w.Traffic.Still(false)
	defer w.timed("judged")()
	if err := w.Cluster.Settled(ctx, w.names()); err != nil {
		return err
	}
	problems, err := validate.Validate(ctx, w.Cluster, w.Traffic, w.accounts)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return Broken(problems)
	}
	return nil
}

// whole ends every fault, and wishes for all that there was at first.
func (w *World) whole(ctx context.Context) error {
	defer w.timed("whole again")()
	if err := w.Cluster.Mend(ctx); err != nil {
		return err
	}
	if err := w.Cluster.Pause(ctx, w.names(), false); err != nil {
		return err
	}
	w.trying.Wait()
	return w.replicateAll(ctx)
}

// replicateAll wishes for every replica that there was at first.
func (w *World) replicateAll(ctx context.Context) error {
	homes, err := w.Cluster.Homes(ctx, w.names())
	if err != nil {
		return err
	}
	for _, m := range w.Cluster.Stores {
		var others []string
		for _, a := range w.accounts {
			if homes[a.Name] != m.FQDN {
				others = append(others, a.Name)
			}
		}
		if len(others) > 0 {
			if err := w.Cluster.Replicate(ctx, m, others); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close ends the work.
func (w *World) Close() {
	if !w.stopped {
		w.stopped = true
		w.Traffic.Stop()
	}
}

// Delete ends the work, and the accounts.
func (w *World) Delete(ctx context.Context) error {
	w.Close()
	for _, name := range w.names() {
		if err := w.Cluster.DeleteAccount(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// Broken is what is wrong where a promise is broken.
type Broken []string

// Error implements error.
func (b Broken) Error() string {
	var all []error
	for _, problem := range b {
		all = append(all, errors.New(problem))
	}
	return errors.Join(all...).Error()
}
