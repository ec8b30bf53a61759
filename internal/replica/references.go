package replica

import (
	"context"
	"encoding/hex"
	"slices"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/blob"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
	"mailreplica/internal/peer"
	"mailreplica/internal/protocol"
)

const (
	referencesReadWait = 30 * time.Second // for the streams to be read to their ends
	referencesPage     = 5_000            // rows of one database snapshot
)

// References yields every blob of a volume that a mailbox on this mailstore names, or that a transaction in flight would. It
// fails unless that is all there is to know here: every account whose home this is has its mailbox, complete, and the log has
// been read to the end that it has now. A record that is in the log names blobs, though no row does yet; and a mailstore that
// lost its database knows of none.
//
// The caller has brought the copy of the directory up to date. alive is called between two pages.
func (r *Manager) References(ctx context.Context, volume string, alive func() error, yield func(peer.Reference) error) error {
	if err := alive(); err != nil {
		return err
	}
	if err := r.readAll(ctx); err != nil {
		return err
	}
	pending, err := r.m.Pending() // before any row is read: what is decided from here on is in the rows
	if err != nil {
		return err
	}
	if err := r.knowsAll(); err != nil {
		return err
	}
	for id, contents := range pending {
		for _, c := range contents {
			if err := tellReference(volume, c.Volume, peer.Reference{Account: id, Content: c.ID}, c.Blob, yield); err != nil {
				return err
			}
		}
	}
	err = r.exportedBlobs(func(id account.ID, ref blob.Ref) error {
		return tellReference(volume, ref.Volume, peer.Reference{Account: id, Discarded: true}, ref.Name, yield)
	})
	if err != nil {
		return err
	}
	for mailboxID := int64(0); ; {
		var id account.ID
		var ended, found bool
		err := r.agent.store.View(ctx, func(v *metadata.View) (err error) {
			mailboxID, id, ended, found, err = v.NextOwner(mailboxID)
			return err
		})
		if err != nil || !found {
			return err
		}
		for _, discarded := range []bool{false, true} { // in this order: a content may become a discarded one meanwhile
			if err := r.tellMailbox(ctx, mailboxID, volume, discarded, alive, func(b metadata.BlobReference) error {
				ref := peer.Reference{Account: id, Content: b.ContentID, Discarded: b.Discarded || ended}
				return tellReference(volume, volume, ref, b.Blob, yield)
			}); err != nil {
				return err
			}
		}
	}
}

func (r *Manager) tellMailbox(
	ctx context.Context, mailboxID int64, volume string, discarded bool, alive func() error, yield func(metadata.BlobReference) error,
) error {
	for after := mailbox.ItemID(0); ; {
		var page []metadata.BlobReference
		err := r.agent.store.View(ctx, func(v *metadata.View) (err error) {
			page, err = v.BlobReferences(mailboxID, volume, discarded, after, referencesPage)
			return err
		})
		if err != nil {
			return err
		}
		for _, b := range page {
			if err := yield(b); err != nil {
				return err
			}
		}
		if len(page) < referencesPage {
			return nil
		}
		after = page[len(page)-1].ContentID
		if err := alive(); err != nil {
			return err
		}
	}
}

// tellReference yields a reference to a blob of the volume asked for. A name that no volume makes is in no listing either.
func tellReference(asked, volume string, ref peer.Reference, blob string, yield func(peer.Reference) error) error {
	name, err := hex.DecodeString(blob)
	if volume != asked || err != nil || len(name) != len(ref.Blob) {
		return nil
	}
	copy(ref.Blob[:], name)
	return yield(ref)
}

// readAll returns when every record that is in the log now, and concerns a copy here, has been judged.
func (r *Manager) readAll(ctx context.Context) error {
	var streams []int32
	for _, a := range r.m.All() {
		c := a.Copy()
		if c.Mode == protocol.Local {
			continue
		}
		if !r.agent.Holds(c.Stream) {
			return fault.New(fault.LogUnavailable, "account %s lives in another event log than the one in use", a.ID())
		}
		streams = append(streams, c.Stream.Partition)
	}
	if len(streams) == 0 {
		return nil
	}
	if log := r.agent.Log(); log == nil || !log.Reachable() {
		return errNoBrokers()
	}
	slices.Sort(streams)
	ctx, cancel := context.WithTimeout(ctx, referencesReadWait)
	defer cancel()
	return r.agent.ReadToEnd(ctx, slices.Compact(streams))
}

// knowsAll says which account's mailbox is missing or incomplete here, though this is its home; nil if none is.
func (r *Manager) knowsAll() error {
	for _, wish := range r.wishes.Accounts(func(a *directory.Account) bool { return a.MailHost == r.self && a.Epoch > 0 && !a.Deleting }) {
		a, held := r.m.Account(wish.ID)
		if !held {
			return fault.New(fault.Unusable, "%s is the home of %s, and has no mailbox of it", r.self, wish.Name).
				WithHint("promote a replica of the account, restore the mailbox, or delete the account")
		}
		if err := a.MayServe(); err != nil {
			return fault.Wrap(fault.KindOf(err), err, "account %s on %s: %s", wish.Name, r.self, fault.Message(err))
		}
	}
	return nil
}

// Locate says where messages lie that share contents of an account whose home this is, one for each content.
func (r *Manager) Locate(ctx context.Context, id account.ID, contents []mailbox.ItemID) (found []peer.Location, err error) {
	a, held := r.m.Account(id)
	if !held {
		return nil, fault.New(fault.NotHome, "%s holds no copy of account %s", r.self, id)
	}
	if err := a.MayServe(); err != nil {
		return nil, err
	}
	err = r.agent.store.View(ctx, func(v *metadata.View) error {
		for _, content := range contents {
			keys, err := v.MessagesOf(a.MailboxID(), content, 1)
			if err != nil {
				return err
			}
			for _, key := range keys {
				f, known, err := v.Rows(a.MailboxID()).Folder(key.FolderID)
				if err != nil {
					return err
				}
				if known {
					found = append(found, peer.Location{Content: content, Folder: f.Name, UID: key.UID})
				}
			}
		}
		return nil
	})
	return found, err
}
