// Package reclaim owns the end of blobs: it removes from their volumes those of messages that are gone, and finds what a volume
// and the mailboxes disagree about.
//
// A blob is removed on the word of a change that is accepted, by the primary of its account, after a grace period, and when no
// copy of the account can refer to it any more (design section 7). The package decides when that is so; it knows no log and
// no client, and changes mailboxes only through package mailstore.
package reclaim

import (
	"context"
	"encoding/binary"
	"log/slog"
	"sync"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/metadata"
	"mailreplica/internal/pause"
	"mailreplica/internal/peer"
)

// Defaults and limits.
const (
	GraceDefault = 7 * 24 * time.Hour
	GraceMin     = time.Hour // a shorter grace period is raised to this

	everyDefault      = time.Minute
	blobsPerSecondMax = 100
	pageRows          = 1_000            // discarded contents looked at at once, and of one account removed from the list by one change
	idlePauseMax      = 15 * time.Minute // between two passes that could remove nothing of what is due
	askWait           = 10 * time.Second // for a mailstore's answer
	warnEvery         = time.Hour        // of one reason
	clockStoredEvery  = 10 * time.Minute
	clockSetting      = "reclaim/clock"
	reasonsMax        = 1_000 // that are remembered
)

// Peers is what the reclaimer asks other mailstores.
type Peers interface {
	Settled(ctx context.Context, addr string, ids []account.ID) ([]peer.CopyStatus, error)
}

// Config is what a Reclaimer is made of.
type Config struct {
	Mailstore *mailstore.Mailstore
	Store     *metadata.Store
	Wishes    *directory.Copy
	Peers     Peers
	Logger    *slog.Logger

	Grace             time.Duration // optional: from a message's end to its blob's; GraceDefault
	Every             time.Duration // optional: between two passes; 1 min
	BlobsPerSecondMax int           // optional: 100
	Clock             Clock         // optional: the machine's
}

// Reclaimer removes blobs of the accounts whose primary this mailstore is. Everything it does can be done again.
type Reclaimer struct {
	c    Config
	self string

	mu     sync.Mutex // one pass at a time
	clock  patientClock
	stored time.Duration            // uptime when the clock was stored last
	warned map[string]time.Duration // uptime of the last line for a reason
}

// New makes a reclaimer that does nothing before Run.
func New(c Config) *Reclaimer {
	if c.Grace <= 0 {
		c.Grace = GraceDefault
	}
	c.Grace = max(c.Grace, GraceMin)
	if c.Every <= 0 {
		c.Every = everyDefault
	}
	if c.BlobsPerSecondMax <= 0 {
		c.BlobsPerSecondMax = blobsPerSecondMax
	}
	if c.Clock == nil {
		c.Clock = machineClock{begun: time.Now()}
	}
	return &Reclaimer{c: c, self: c.Mailstore.Self(), warned: map[string]time.Duration{}}
}

// Result is what a pass came to.
type Result struct {
	Removed int // blobs
	Waiting int // blobs that are due and could not be removed yet

	looked int // rows that are due, on any primary's list
}

// Run makes passes until the context ends. While nothing of what is due can be removed here they become rare: a mailstore or a
// volume is away, or all of it is that of other primaries, and a look costs as much as there is.
func (r *Reclaimer) Run(ctx context.Context) {
	wait := r.c.Every
	for pause.For(ctx, wait) == nil {
		result, err := r.Pass(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.c.Logger.Warn("blobs of removed messages stay for now", "error", err)
		}
		if result.Removed > 0 {
			r.c.Logger.Info("blobs of removed messages were removed", "blobs", result.Removed, "waiting", result.Waiting)
		}
		if result.Removed > 0 || result.looked == 0 && err == nil {
			wait = r.c.Every
		} else {
			wait = min(2*wait, max(idlePauseMax, r.c.Every))
		}
	}
}

// Pass looks once at everything that is due.
func (r *Reclaimer) Pass(ctx context.Context) (Result, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, err := r.now(ctx)
	if err != nil {
		return Result{}, err
	}
	p := &pass{Reclaimer: r, upTo: now.Add(-r.c.Grace).Unix(), away: map[string]error{}, closed: map[string]bool{}}
	if err := p.discarded(ctx); err != nil {
		return p.result, err
	}
	return p.result, p.ended(ctx)
}

// now is the time by both clocks, and is kept for the next process.
func (r *Reclaimer) now(ctx context.Context) (time.Time, error) {
	var stored time.Time
	if !r.clock.begun {
		err := r.c.Store.View(ctx, func(v *metadata.View) error {
			value, found, err := v.Value(clockSetting)
			if found && len(value) == 8 {
				stored = time.Unix(int64(binary.BigEndian.Uint64(value)), 0)
			}
			return err
		})
		if err != nil {
			return time.Time{}, err
		}
	}
	wall, uptime := r.c.Clock.Now()
	first := !r.clock.begun
	now := r.clock.now(wall, uptime, r.c.Grace, stored)
	if !first && uptime-r.stored < clockStoredEvery {
		return now, nil
	}
	r.stored = uptime
	value := binary.BigEndian.AppendUint64(nil, uint64(now.Unix()))
	return now, r.c.Store.Update(ctx, metadata.Lazy, func(tx *metadata.Tx) error { return tx.SetValue(clockSetting, value) })
}

// warn tells of a reason why blobs stay, once in a while.
func (r *Reclaimer) warn(reason, text string, args ...any) {
	_, uptime := r.c.Clock.Now()
	if last, told := r.warned[reason]; told && uptime-last < warnEvery {
		return
	}
	if len(r.warned) >= reasonsMax {
		clear(r.warned)
	}
	r.warned[reason] = uptime
	r.c.Logger.Warn(text, args...)
}

// ask asks a mailstore for the copies of accounts that it holds, as they are on its disk.
func (p *pass) ask(ctx context.Context, fqdn string, ids []account.ID) (map[account.ID]peer.CopyStatus, error) {
	if err := p.away[fqdn]; err != nil {
		return nil, err
	}
	host, known := p.c.Wishes.Mailstore(fqdn)
	if !known {
		return nil, fault.New(fault.NotFound, "there is no mailstore %s", fqdn)
	}
	asking, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	copies, err := p.c.Peers.Settled(asking, host.PeerAddr, ids)
	if err != nil {
		p.away[fqdn] = err // until the next pass
		return nil, err
	}
	held := make(map[account.ID]peer.CopyStatus, len(copies))
	for _, c := range copies {
		held[c.Account] = c
	}
	return held, nil
}
