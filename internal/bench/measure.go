package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"mailreplica/internal/bench/load"
	"mailreplica/internal/bench/report"
	"mailreplica/internal/bench/system"
	"mailreplica/internal/pause"
)

const (
	stepMax       = 5 * time.Minute
	fillMax       = 90 * time.Second
	catchUpMax    = 90 * time.Second
	probes        = 4 // accounts that are watched at once
	probePause    = 10 * time.Millisecond
	loadAccounts  = 8 // connections that deliver while others are watched
	connections   = 16
	stepTimeShare = 2 // of a row's time that a step of IMAP work takes
)

// options are the sizes of a benchmark.
type options struct {
	report.Options
	length time.Duration // of a row
	warm   time.Duration // of deliveries before the first row
}

// measurement measures one system in one round.
type measurement struct {
	options
	round    int
	running  system.Running
	messages *load.Messages
	say      func(format string, args ...any)

	given    []atomic.Int64 // acknowledged deliveries by account
	watchers []load.Watcher // of all accounts on the replica, once they were needed
	figures  map[string]float64
	failures []error
}

// run measures all rows. One that fails does not keep the others from being measured.
func (m *measurement) run(ctx context.Context) {
	m.figures = map[string]float64{}
	m.given = make([]atomic.Int64, len(m.running.Accounts()))
	defer m.unwatch()
	_, replicated := m.running.(system.Replicated)
	copier, copies := m.running.(system.FirstCopier)
	promoter, promotes := m.running.(system.Promoter)
	for _, step := range []struct {
		name string
		wish bool
		do   func(context.Context) error
	}{
		{"warming up", true, m.warmUp},
		{"delivery, 1 connection", true, m.deliverOne},
		{"delivery, 4 connections", true, m.deliverFour},
		{"delivery, 16 connections", true, m.deliverMany},
		{"on the replica, quiet", replicated, m.visibleQuiet},
		{"on the replica, under load", replicated, m.visibleLoaded},
		{"IMAP, 1 connection", true, func(ctx context.Context) error { return m.mailbox(ctx, 1) }},
		{"IMAP, 16 connections", true, func(ctx context.Context) error { return m.mailbox(ctx, connections) }},
		{"first copy", copies && m.round < m.CopyRounds, func(ctx context.Context) error { return m.firstCopy(ctx, copier) }},
		{"promotion", promotes, func(ctx context.Context) error { return m.promotion(ctx, promoter) }},
	} {
		if !step.wish || ctx.Err() != nil {
			continue
		}
		if err := m.step(ctx, step.do); err != nil {
			m.failures = append(m.failures, fmt.Errorf("%s: %w", step.name, err))
			m.say("%s FAILED: %v", step.name, err)
		}
	}
}

func (m *measurement) step(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, stepMax)
	defer cancel()
	return do(ctx)
}

func (m *measurement) set(key string, figure float64) {
	m.figures[key] = figure
	m.say("%s %.4g", key, figure)
}

func (m *measurement) delivery(connections int, length time.Duration) load.Delivery {
	return load.Delivery{LMTP: m.running.LMTP(), Accounts: m.running.Accounts(), Connections: connections, Messages: m.messages, Length: length,
		Acknowledged: m.given}
}

// warmUp delivers until caches are filled and Java is compiled, and waits for replicas that lag, so that the rows find each system as it is
// after some time of work. One that lags for longer is measured with that; the rows of its replica tell.
func (m *measurement) warmUp(ctx context.Context) error {
	if _, err := m.delivery(connections, m.warm).Run(ctx); err != nil {
		return err
	}
	if err := m.caughtUp(ctx); err != nil {
		m.say("after warming up: %v", err)
	}
	m.unwatch() // they end with this step
	return nil
}

func (m *measurement) acknowledged(connections string, r *load.Result) {
	m.set("ack."+connections+".p50", milliseconds(r.Latency.Quantile(0.5)))
	m.set("ack."+connections+".p99", milliseconds(r.Latency.Quantile(0.99)))
}

func (m *measurement) deliverOne(ctx context.Context) error {
	result, err := m.delivery(1, m.length).Run(ctx)
	if err != nil {
		return err
	}
	m.set("delivery.1", result.Rate)
	m.acknowledged("1", &result)
	return nil
}

func (m *measurement) deliverFour(ctx context.Context) error {
	result, err := m.delivery(4, m.length).Run(ctx)
	if err != nil {
		return err
	}
	m.set("delivery.4", result.Rate)
	return nil
}

// deliverMany measures the cost of messages as well: from before they are delivered until the replica has them.
func (m *measurement) deliverMany(ctx context.Context) error {
	if err := m.caughtUp(ctx); err != nil {
		return err
	}
	before, err := m.cost()
	if err != nil {
		return err
	}
	result, err := m.delivery(connections, m.length).Run(ctx)
	if err != nil {
		return err
	}
	m.set("delivery.16", result.Rate)
	m.acknowledged("16", &result)
	ended := time.Now()
	if err := m.caughtUp(ctx); err != nil {
		return err
	}
	if len(m.watchers) > 0 {
		m.set("backlog", time.Since(ended).Seconds())
	}
	after, err := m.cost()
	if err != nil {
		return err
	}
	messages := float64(result.Count)
	m.set("cpu", milliseconds(after.cpu-before.cpu)/messages)
	m.set("disk", float64(after.DataBytes-before.DataBytes)/1024/messages)
	if log := after.LogBytes - before.LogBytes; log > 0 && len(m.watchers) > 0 {
		m.set("log", float64(log)/1024/messages)
	}
	return nil
}

// cost is what a system has used up.
type cost struct {
	system.Usage
	cpu time.Duration
}

func (m *measurement) cost() (c cost, err error) {
	if c.cpu, err = m.running.CPU(); err == nil {
		c.Usage, err = m.running.Disk()
	}
	return c, err
}

// caughtUp waits until the replica has everything that was acknowledged.
func (m *measurement) caughtUp(ctx context.Context) error {
	replicated, ok := m.running.(system.Replicated)
	if !ok {
		return nil
	}
	if m.watchers == nil {
		for _, who := range m.running.Accounts() {
			w, err := replicated.Watch(ctx, who)
			if err != nil {
				return err
			}
			m.watchers = append(m.watchers, w)
		}
	}
	end := time.Now().Add(catchUpMax)
	for i, w := range m.watchers {
		for {
			there, err := w.Messages(ctx)
			if err != nil {
				return fmt.Errorf("the replica of %s: %w", m.running.Accounts()[i].Address, err)
			}
			missing := int(m.given[i].Load()) - there
			if missing <= 0 {
				break
			}
			if time.Now().After(end) {
				return fmt.Errorf("the replica of %s lacks %d messages %s after the last was acknowledged", m.running.Accounts()[i].Address, missing, catchUpMax)
			}
			_ = pause.For(ctx, 5*time.Millisecond)
		}
	}
	return nil
}

func (m *measurement) unwatch() {
	for _, w := range m.watchers {
		_ = w.Close() // it has told what it saw
	}
	m.watchers = nil
}

func (m *measurement) visibleQuiet(ctx context.Context) error { return m.visible(ctx, "quiet") }

// visibleLoaded watches while others deliver to the accounts that are not watched.
func (m *measurement) visibleLoaded(ctx context.Context) error {
	others := m.delivery(loadAccounts, m.length+time.Second)
	others.Accounts, others.Acknowledged = others.Accounts[probes:], m.given[probes:]
	loaded := make(chan error, 1)
	go func() {
		_, err := others.Run(ctx)
		loaded <- err
	}()
	err := m.visible(ctx, "load")
	return errors.Join(err, <-loaded)
}

func (m *measurement) visible(ctx context.Context, when string) error {
	replicated, ok := m.running.(system.Replicated)
	if !ok {
		return errors.New("there is no replica")
	}
	result, err := load.Visibility{LMTP: m.running.LMTP(), Accounts: m.running.Accounts()[:probes], Watch: replicated.Watch, Messages: m.messages,
		Length: m.length, Pause: probePause}.Run(ctx)
	if err != nil {
		return err
	}
	m.say("%d messages were watched", result.Count)
	m.set("visible."+when+".p50", milliseconds(result.Latency.Quantile(0.5)))
	m.set("visible."+when+".p99", milliseconds(result.Latency.Quantile(0.99)))
	return nil
}

func (m *measurement) mailbox(ctx context.Context, connections int) error {
	worked, err := load.Mailbox{IMAP: m.running.IMAP(), Accounts: m.running.Accounts(), Connections: connections, Messages: m.messages,
		Length: m.length / stepTimeShare, Folder: fmt.Sprintf("work-%d", connections)}.Run(ctx)
	for _, step := range []struct {
		name   string
		result load.Result
	}{{"append", worked.Append}, {"flag", worked.Flag}, {"move", worked.Move}, {"expunge", worked.Expunge}} {
		if step.result.Count > 0 {
			m.set(fmt.Sprintf("%s.%d", step.name, connections), step.result.Rate)
		}
	}
	return err
}

func (m *measurement) firstCopy(ctx context.Context, copier system.FirstCopier) error {
	count := 0
	took, err := copier.FirstCopy(ctx, func(who load.Account) error {
		m.say("filling a mailbox with %d messages", m.CopyMessages)
		result, err := load.Delivery{LMTP: m.running.LMTP(), Accounts: []load.Account{who}, Connections: connections, Messages: m.messages,
			Length: fillMax, Count: m.CopyMessages}.Run(ctx)
		count = result.Count
		return err
	})
	if err != nil {
		return err
	}
	m.say("%d messages were copied", count)
	m.set("copy", float64(count)/took.Seconds())
	return nil
}

func (m *measurement) promotion(ctx context.Context, promoter system.Promoter) error {
	took, err := promoter.Promote(ctx, m.running.Accounts()[0])
	if err != nil {
		return err
	}
	m.set("promotion", milliseconds(took))
	return nil
}
