package mailstore

import (
	"context"
	"maps"
	"slices"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/blob"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

// MayReclaim says why this mailstore may not remove the blobs of the account's discarded contents, nil if it may.
func (a *Account) MayReclaim() error {
	if a.superseded.Load() {
		return fault.New(fault.NotHome, "the account has moved to another mailstore")
	}
	c := a.Copy()
	return c.MayReclaim(a.caughtUp(c))
}

// end removes the mailbox of an account that was deleted, and remembers that it was. The home keeps a list of its blobs, local
// to this database, until they are gone from their volumes; all other copies just go.
func (m *Mailstore) end(tx *metadata.Tx, mailboxID int64, c *protocol.Copy) error {
	if err := tx.SetValue(endedKey(c.Account), []byte(m.self)); err != nil {
		return err
	}
	if !c.IsPrimary() || c.Condition != protocol.Complete {
		return tx.RemoveMailbox(mailboxID)
	}
	return tx.EndMailbox(metadata.Ended{
		MailboxID: mailboxID, Account: c.Account, Members: slices.Sorted(maps.Keys(c.Members)), At: time.Now().Unix(),
	})
}

// RemoveBlob removes a blob from its volume. One that is not there is no error. Kinds: VolumeUnavailable, also for a volume that
// this mailstore does not have; Invalid for a name that no volume makes.
func (m *Mailstore) RemoveBlob(ctx context.Context, volume, name string) error {
	v, err := m.volumes.Find(volume)
	if err != nil {
		return err
	}
	return v.Remove(ctx, name)
}

// Pending are the contents that transactions in flight would put, of all accounts. A record in doubt may land long after its
// client was told a temporary failure, and name blobs that no row does yet. Whoever reads rows after this call sees what was
// decided meanwhile. It fails where a defect has made an account forget what it had in flight.
func (m *Mailstore) Pending() (map[account.ID][]mailbox.Content, error) {
	pending := map[account.ID][]mailbox.Content{}
	for _, a := range m.All() {
		if a.defect.Load() {
			return nil, fault.New(fault.Internal, "a defect has left a change of account %s in doubt", a.id).
				WithHint("restart %s, and report it", m.self)
		}
		a.mu.Lock()
		if a.pending != nil && a.pending.delta != nil {
			for _, c := range a.pending.delta.Contents {
				if c != nil {
					pending[a.id] = append(pending[a.id], *c)
				}
			}
		}
		a.mu.Unlock()
	}
	return pending, nil
}

// Volume is a volume that this mailstore reaches. Kind: VolumeUnavailable.
func (m *Mailstore) Volume(id string) (blob.Volume, error) { return m.volumes.Find(id) }
