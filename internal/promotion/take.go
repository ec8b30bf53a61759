// Package promotion owns the making of a replica into the primary (design section 6): choosing it, the fence, the switch of
// the directory, and the stored operation by which thousands of accounts are promoted, watched, and taken up again after a
// crash.
package promotion

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/peer"
)

// Limits of taking over.
const (
	readToEndWait   = 15 * time.Second
	fenceWait       = 15 * time.Second
	fencesAtOnceMax = 2_000 // accounts whose fences are in flight
	toldAtOnceMax   = 1_000 // accounts that the directory is told of together
	burstPause      = 5 * time.Millisecond
)

// Agent is what taking over asks of the readers of streams.
type Agent interface {
	// ReadToEnd returns when the streams have been read to the ends that they had when it was called.
	ReadToEnd(ctx context.Context, streams []int32) error
}

// Switch tells the directory of new primaries.
type Switch interface {
	// Hold keeps others from telling of the accounts one by one, until it is given those that nobody has told of.
	Hold(ids []account.ID) (free func(untold []account.ID))
	TellHomes(ctx context.Context, accounts []*mailstore.Account) error
}

// Taker takes accounts over for this mailstore.
type Taker struct {
	Mailstore *mailstore.Mailstore
	Agent     Agent
	Switch    Switch
	Logger    *slog.Logger

	// Reads refuses an account of which this mailstore could not read the messages, for want of the volumes that they lie
	// on. Nil: it reads all.
	Reads func(ctx context.Context, a *mailstore.Account) error
}

// Take makes this mailstore the primary of the accounts of a request: it reads their streams to the end once, appends
// their fences side by side, and tells of each when its Fence has been read back (rule 9) and the directory knows. tell is called
// by one goroutine at a time. A request that is repeated takes the same epochs, and finds done what was done.
func (t *Taker) Take(ctx context.Context, request peer.FenceRequest, tell func(peer.FenceResult)) error {
	taken, streams := t.sort(request, tell)
	if len(taken) == 0 {
		return nil
	}
	reading, cancel := context.WithTimeout(ctx, readToEndWait)
	defer cancel()
	if err := t.Agent.ReadToEnd(reading, streams); err != nil {
		for _, one := range taken {
			tell(failed(one.account.ID(), one.epoch, err))
		}
		return nil
	}
	t.takeAll(ctx, request, taken, tell)
	return nil
}

// takeAll fences accounts and tells the directory of those that have become primaries meanwhile, together.
func (t *Taker) takeAll(ctx context.Context, request peer.FenceRequest, taken []takeable, tell func(peer.FenceResult)) {
	ids := make([]account.ID, len(taken))
	for i, one := range taken {
		ids[i] = one.account.ID()
	}
	var untold []account.ID
	free := t.Switch.Hold(ids)
	defer func() { free(untold) }()
	fenced := t.fence(ctx, request, taken)
	for left := len(taken); left > 0; {
		batch := gather(fenced, left)
		left -= len(batch)
		untold = append(untold, t.tellDirectory(ctx, batch)...)
		for _, one := range batch {
			tell(one.result)
		}
	}
}

// outcome is what became of one account, and its copy.
type outcome struct {
	account *mailstore.Account
	result  peer.FenceResult
}

// fence appends the fences of all, so many at once, and gives what becomes of each, whatever ctx does. It waits for nobody who
// takes that.
func (t *Taker) fence(ctx context.Context, request peer.FenceRequest, taken []takeable) <-chan outcome {
	fenced := make(chan outcome, len(taken))
	slots := make(chan struct{}, fencesAtOnceMax)
	go func() {
		for _, one := range taken {
			slots <- struct{}{}
			go func() {
				fenced <- outcome{one.account, t.takeOne(ctx, request, one)}
				<-slots
			}()
		}
	}()
	return fenced
}

// gather waits for the next outcomes. They come in bursts, as batches of records are read: each burst is one, for what the directory
// is told costs a transaction.
func gather(fenced <-chan outcome, left int) []outcome {
	batch := []outcome{<-fenced}
	pause := time.NewTimer(burstPause)
	defer pause.Stop()
	for len(batch) < min(left, toldAtOnceMax) {
		select {
		case one := <-fenced:
			batch = append(batch, one)
			pause.Reset(burstPause)
		case <-pause.C:
			return batch
		}
	}
	return batch
}

// tellDirectory tells the directory of those who are primaries now, and gives those that it has not been told of: where a Fence
// failed it may have been read all the same, when nobody waited for it any more.
func (t *Taker) tellDirectory(ctx context.Context, batch []outcome) (untold []account.ID) {
	var primaries []*mailstore.Account
	for _, one := range batch {
		if one.result.Error == "" {
			primaries = append(primaries, one.account)
		} else {
			untold = append(untold, one.account.ID())
		}
	}
	if len(primaries) == 0 {
		return untold
	}
	err := t.Switch.TellHomes(ctx, primaries)
	if err == nil {
		return untold
	}
	// They are promoted all the same; the loop that keeps the directory in order repeats this.
	t.Logger.Warn("the directory was not told of promotions yet", "accounts", len(primaries), "error", err)
	for _, a := range primaries {
		untold = append(untold, a.ID())
	}
	return untold
}

type takeable struct {
	account *mailstore.Account
	epoch   uint64
}

// sort tells at once of accounts that cannot be taken, and gives the others with the streams they live in.
func (t *Taker) sort(request peer.FenceRequest, tell func(peer.FenceResult)) ([]takeable, []int32) {
	var taken []takeable
	var streams []int32
	seen := map[int32]bool{}
	for _, asked := range request.Accounts {
		a, ok := t.Mailstore.Account(asked.Account)
		if !ok {
			tell(failed(asked.Account, asked.Epoch, fault.New(fault.Unusable, "%s holds no replica of the account", t.Mailstore.Self())))
			continue
		}
		c := a.Copy()
		one := takeable{account: a, epoch: asked.Epoch}
		if one.epoch == 0 {
			one.epoch = c.Epoch + 1
		}
		if !c.IsPrimary() || c.Epoch != one.epoch {
			if err := c.MayFence(request.AcceptLoss); err != nil && !fault.Is(err, fault.Paused) {
				tell(failed(asked.Account, one.epoch, err))
				continue
			}
		}
		taken = append(taken, one)
		if number := c.Stream.Partition; !seen[number] && number >= 0 {
			seen[number] = true
			streams = append(streams, number)
		}
	}
	return taken, streams
}

func (t *Taker) takeOne(ctx context.Context, request peer.FenceRequest, one takeable) peer.FenceResult {
	fencing, cancel := context.WithTimeoutCause(ctx, fenceWait,
		fault.New(fault.LogUnavailable, "the event log did not confirm the fence within %s; it may yet come to be", fenceWait))
	defer cancel()
	id := one.account.ID()
	if c := one.account.Copy(); t.Reads != nil && (!c.IsPrimary() || c.Epoch != one.epoch) {
		if err := t.Reads(fencing, one.account); err != nil {
			return failed(id, one.epoch, err)
		}
	}
	if err := one.account.Fence(fencing, request.Operation, one.epoch, request.AcceptLoss); err != nil {
		result := failed(id, one.epoch, err)
		result.Primary, result.CopyEpoch = one.account.Copy().Primary, one.account.Copy().Epoch
		return result
	}
	t.Logger.Info("promoted", "account", id, "epoch", one.epoch, "operation", request.Operation)
	return peer.FenceResult{Account: id, Epoch: one.epoch}
}

func failed(id [16]byte, epoch uint64, err error) peer.FenceResult {
	text := fault.Message(err)
	var known *fault.Error
	if !errors.As(err, &known) {
		text = err.Error()
	}
	return peer.FenceResult{Account: id, Epoch: epoch, Kind: fault.KindOf(err).String(), Error: text, Hint: fault.HintOf(err)}
}
