package reclaim

import (
	"context"
	"maps"
	"slices"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/metadata"
	"mailreplica/internal/pause"
	"mailreplica/internal/peer"
	"mailreplica/internal/protocol"
)

// pass is one look at everything that is due.
type pass struct {
	*Reclaimer
	upTo      int64 // what was discarded until then is due
	mailboxes map[int64]*mailstore.Account
	away      map[string]error // mailstores that did not answer in this pass
	closed    map[string]bool  // volumes that did not
	result    Result
}

// discarded looks at the discarded contents of all mailboxes, page by page. On a replica they are left to the primary.
func (p *pass) discarded(ctx context.Context) error {
	for after := (metadata.Due{}); ; {
		var due []metadata.Due
		err := p.c.Store.View(ctx, func(v *metadata.View) (err error) {
			due, err = v.DueDiscarded(p.upTo, after, pageRows)
			return err
		})
		if err != nil || len(due) == 0 {
			return err
		}
		p.result.looked += len(due)
		if err := p.page(ctx, due); err != nil || len(due) < pageRows {
			return err
		}
		after = due[len(due)-1]
	}
}

// work is what is due of one account.
type work struct {
	account *mailstore.Account
	copy    *protocol.Copy
	due     []mailbox.Discarded
	others  map[string]bool // mailstores that may hold a copy; true: a member by the log
}

func (p *pass) page(ctx context.Context, due []metadata.Due) error {
	all := p.gather(due)
	ask := map[string][]account.ID{}
	for _, w := range all {
		for fqdn := range w.others {
			ask[fqdn] = append(ask[fqdn], w.account.ID())
		}
	}
	answers := map[string]map[account.ID]peer.CopyStatus{}
	for _, fqdn := range slices.Sorted(maps.Keys(ask)) {
		held, err := p.ask(ctx, fqdn, ask[fqdn])
		if ctx.Err() != nil {
			return err
		}
		if err != nil {
			p.warn("away "+fqdn, "blobs of removed messages wait for a mailstore that holds copies of their accounts",
				"mailstore", fqdn, "accounts", len(ask[fqdn]), "error", err)
			continue
		}
		answers[fqdn] = held
	}
	for _, w := range all {
		allowed := p.allowed(w, answers)
		p.result.Waiting += len(w.due) - len(allowed)
		if err := p.reclaim(ctx, w, allowed); err != nil {
			return err
		}
	}
	return nil
}

// gather gives the accounts of a page whose blobs this mailstore may remove, in the order in which they come.
func (p *pass) gather(due []metadata.Due) []*work {
	if p.mailboxes == nil {
		p.mailboxes = map[int64]*mailstore.Account{}
		for _, a := range p.c.Mailstore.All() {
			p.mailboxes[a.MailboxID()] = a
		}
	}
	byMailbox := map[int64]*work{}
	var all []*work
	for _, d := range due {
		w, known := byMailbox[d.MailboxID]
		if !known {
			w = p.workOf(p.mailboxes[d.MailboxID])
			byMailbox[d.MailboxID] = w
			if w != nil {
				all = append(all, w)
			}
		}
		if w != nil {
			w.due = append(w.due, d.Discarded)
		}
	}
	return all
}

// workOf says whom to ask before blobs of an account are removed, nil if this mailstore may not remove them: members by the log,
// and those of which the directory wishes a copy. After an operator's decree the latter may hold copies from before, which
// are no members and will be made anew.
func (p *pass) workOf(a *mailstore.Account) *work {
	if a == nil || a.MayReclaim() != nil {
		return nil
	}
	c := a.Copy()
	wish, known := p.c.Wishes.Account(a.ID())
	if !known || wish.MailHost != p.self || wish.Epoch > c.Epoch || wish.Deleting {
		return nil
	}
	w := &work{account: a, copy: c, others: map[string]bool{}}
	for _, replica := range p.c.Wishes.Replicas(a.ID()) {
		w.others[replica.Mailstore] = false
	}
	for member := range c.Members {
		w.others[member] = true
	}
	delete(w.others, p.self)
	return w
}

// allowed gives what no copy can refer to any more.
func (p *pass) allowed(w *work, answers map[string]map[account.ID]peer.CopyStatus) []mailbox.Discarded {
	if w.account.MayReclaim() != nil || w.account.Copy().Epoch != w.copy.Epoch {
		return nil // deposed or paused while the others were asked
	}
	return slices.DeleteFunc(slices.Clone(w.due), func(d mailbox.Discarded) bool {
		for fqdn, member := range w.others {
			if err := p.objection(w, d, fqdn, member, answers); err != nil {
				return true
			}
		}
		return false
	})
}

// objection says why a mailstore's copy may still refer to a discarded content, nil if it cannot.
func (p *pass) objection(
	w *work, d mailbox.Discarded, fqdn string, member bool, answers map[string]map[account.ID]peer.CopyStatus,
) error {
	held, answered := answers[fqdn]
	if !answered {
		return fault.New(fault.HomeUnreachable, "%s was not asked", fqdn)
	}
	other, holds := held[w.account.ID()]
	if !holds && !member {
		return nil
	}
	var err error
	if !holds {
		err = fault.New(fault.Busy, "its copy has not begun")
	} else {
		err = w.copy.HasDiscarded(other.Epoch, other.Primary, other.Condition, other.Sequence, d.Sequence)
	}
	if err != nil {
		p.warn("behind "+fqdn, "blobs of removed messages wait for a copy of their account", "mailstore", fqdn,
			"account", w.account.ID(), "sequence", d.Sequence, "why", fault.Message(err))
	}
	return err
}

// reclaim removes blobs of one account, and then has them removed from the list. A crash in between leaves rows whose blobs are
// gone; removing those again is harmless.
func (p *pass) reclaim(ctx context.Context, w *work, allowed []mailbox.Discarded) error {
	gone, err := p.removeBlobs(ctx, allowed)
	if len(gone) > 0 {
		update := w.account.Update(ctx, func(d *mailbox.Draft) error { return d.Reclaimed(gone) })
		if update != nil {
			p.warn("list "+w.account.ID().String(), "blobs are removed, but stay on the list of their account for now",
				"account", w.account.ID(), "blobs", len(gone), "error", update)
		}
	}
	return err
}

// removeBlobs removes blobs, gently, and gives the contents of those that are gone. The error says that the pass ends.
func (p *pass) removeBlobs(ctx context.Context, blobs []mailbox.Discarded) (gone []mailbox.ItemID, err error) {
	for _, d := range blobs {
		if p.closed[d.Volume] {
			p.result.Waiting++
			continue
		}
		err := p.c.Mailstore.RemoveBlob(ctx, d.Volume, d.Blob)
		switch {
		case ctx.Err() != nil:
			return gone, fault.Wrap(fault.Interrupted, ctx.Err(), "interrupted")
		case fault.Is(err, fault.Invalid): // no volume makes such a name: there is no blob
			p.warn("name "+d.Volume, "a removed message named a blob that cannot be", "volume", d.Volume, "blob", d.Blob, "error", err)
		case err != nil:
			p.warn("volume "+d.Volume, "blobs of removed messages stay: their volume cannot be used here", "volume", d.Volume,
				"error", err, "hint", fault.HintOf(err))
			p.closed[d.Volume] = true
			p.result.Waiting++
			continue
		}
		gone = append(gone, d.ContentID)
		p.result.Removed++
		if pause.For(ctx, time.Second/time.Duration(p.c.BlobsPerSecondMax)) != nil {
			return gone, fault.Wrap(fault.Interrupted, ctx.Err(), "interrupted")
		}
	}
	return gone, nil
}

// ended looks at accounts that were deleted while this mailstore was their home.
func (p *pass) ended(ctx context.Context) error {
	var all []metadata.Ended
	err := p.c.Store.View(ctx, func(v *metadata.View) (err error) {
		all, err = v.Ended()
		return err
	})
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(e metadata.Ended) bool { return e.At > p.upTo })
	p.result.looked += len(all)
	for page := range slices.Chunk(all, pageRows) {
		held := p.stillHeld(ctx, page)
		for _, e := range page {
			if held[e.Account] {
				p.result.Waiting++
				continue
			}
			if err := p.removeEnded(ctx, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// stillHeld are those of some deleted accounts of which another mailstore holds a copy, or may. One that the directory does not
// know any more cannot come back with it: the account is not there to be promoted.
func (p *pass) stillHeld(ctx context.Context, page []metadata.Ended) map[account.ID]bool {
	ask := map[string][]account.ID{}
	for _, e := range page {
		for _, fqdn := range e.Members {
			if _, known := p.c.Wishes.Mailstore(fqdn); fqdn != p.self && known {
				ask[fqdn] = append(ask[fqdn], e.Account)
			}
		}
	}
	still := map[account.ID]bool{}
	for _, fqdn := range slices.Sorted(maps.Keys(ask)) {
		held, err := p.ask(ctx, fqdn, ask[fqdn])
		if err == nil && len(held) > 0 {
			err = fault.New(fault.Busy, "it has not read of the end of %d accounts", len(held))
		}
		if err == nil {
			continue
		}
		p.warn("ended "+fqdn, "blobs of deleted accounts wait for a mailstore that held copies of them", "mailstore", fqdn, "error", err)
		for _, id := range ask[fqdn] {
			_, holds := held[id]
			still[id] = still[id] || holds || held == nil
		}
	}
	return still
}

func (p *pass) removeEnded(ctx context.Context, e metadata.Ended) error {
	for after := mailbox.ItemID(0); ; {
		var blobs []mailbox.Discarded
		err := p.c.Store.View(ctx, func(v *metadata.View) (err error) {
			blobs, err = v.EndedBlobs(e.MailboxID, after, pageRows)
			return err
		})
		if err != nil {
			return err
		}
		gone, err := p.removeBlobs(ctx, blobs)
		forget := p.c.Store.Update(ctx, metadata.Lazy, func(tx *metadata.Tx) error { return tx.RemoveEndedBlobs(e.MailboxID, gone) })
		if err != nil || forget != nil || len(blobs) < pageRows {
			return firstOf(err, forget)
		}
		after = blobs[len(blobs)-1].ContentID
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
