package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"mailreplica/internal/pause"
)

// Watcher looks at one account's INBOX on a replica.
type Watcher interface {
	// Messages is how many there are now.
	Messages(ctx context.Context) (int, error)
	Close() error
}

const (
	visibleWait = 30 * time.Second
	lookOften   = 5 * time.Millisecond // for so long there is no pause between two looks
)

// Visibility measures how long after its acknowledgement a message is on the replica. Each of its accounts is delivered to, watched until
// the message is there, and left alone for a while.
type Visibility struct {
	LMTP     string // of the source
	Accounts []Account
	Watch    func(ctx context.Context, who Account) (Watcher, error)
	Messages *Messages
	Length   time.Duration
	Pause    time.Duration // between a message's sight and the next
}

// Run measures until the time is over; messages under way are waited for.
func (v Visibility) Run(ctx context.Context) (Result, error) {
	all := make([]*probe, len(v.Accounts))
	defer func() {
		for _, p := range all {
			p.close()
		}
	}()
	for i, who := range v.Accounts {
		p := &probe{sender: sender{addr: v.LMTP}, to: who.Address}
		all[i] = p
		if err := p.connect(ctx); err != nil {
			return Result{}, err
		}
		var err error
		if p.watcher, err = v.Watch(ctx, who); err != nil {
			return Result{}, err
		}
	}
	var settle sync.WaitGroup
	problems := make([]error, len(all))
	for i, p := range all {
		settle.Go(func() { problems[i] = p.settle(ctx) })
	}
	if settle.Wait(); errors.Join(problems...) != nil {
		return Result{}, errors.Join(problems...)
	}
	return run(ctx, len(all), v.Length, func(worker int) (time.Duration, bool, error) {
		took, err := all[worker].once(ctx, v.Messages)
		_ = pause.For(ctx, v.Pause)
		return took, true, err
	})
}

// probe measures on one account.
type probe struct {
	sender
	to      string
	watcher Watcher
	there   int
}

// settle learns how many messages there are when no more come.
func (p *probe) settle(ctx context.Context) (err error) {
	const quiet = 300 * time.Millisecond
	for same := 0; same < 3; same++ {
		n, err := p.watcher.Messages(ctx)
		if err != nil {
			return err
		}
		if n != p.there {
			p.there, same = n, 0
		}
		_ = pause.For(ctx, quiet/3)
	}
	return nil
}

func (p *probe) once(ctx context.Context, messages *Messages) (time.Duration, error) {
	if _, err := p.send(ctx, p.to, messages); err != nil {
		return 0, err
	}
	acknowledged := time.Now()
	p.there++
	for {
		n, err := p.watcher.Messages(ctx)
		passed := time.Since(acknowledged)
		switch {
		case err != nil:
			return 0, err
		case n >= p.there:
			return passed, nil
		case passed > visibleWait:
			return 0, fmt.Errorf("a message is not on the replica %s after it was acknowledged", visibleWait)
		}
		if passed > lookOften {
			_ = pause.For(ctx, passed/20) // exact to a twentieth, and cheap if it takes long
		}
	}
}

func (p *probe) close() {
	if p == nil {
		return
	}
	p.sender.close()
	if p.watcher != nil {
		_ = p.watcher.Close() // it has told what it saw
	}
}

// inbox watches over IMAP.
type inbox struct {
	*IMAP
	exists int
}

// WatchIMAP watches by a session that has INBOX selected and asks with NOOP.
func WatchIMAP(ctx context.Context, addr string, who Account) (Watcher, error) {
	c, err := DialIMAP(ctx, addr, who)
	if err != nil {
		return nil, err
	}
	w := &inbox{IMAP: c}
	if err := c.Do("EXAMINE INBOX", w.see); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return w, nil
}

func (w *inbox) see(line []byte) {
	if n, ok := Exists(line); ok {
		w.exists = n
	}
}

func (w *inbox) Messages(context.Context) (int, error) {
	err := w.Do("NOOP", w.see)
	return w.exists, err
}
