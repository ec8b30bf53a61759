package admintest

import (
	"context"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/peer"
)

// Refer makes the mailstore say that it names blobs, until another call. err is what it ends with.
func (m *Mailstore) Refer(err error, references ...peer.Reference) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.references, m.referenceErr = references, err
}

// Settled is the state of copies, all of which is on disk here.
func (s service) Settled(_ context.Context, ids []account.ID) (copies []peer.CopyStatus, err error) {
	for _, id := range ids {
		if c, holds := s.copyOf(id); holds {
			copies = append(copies, c)
		}
	}
	return copies, nil
}

// References yields what the test has put there.
func (s service) References(_ context.Context, _ string, alive func() error, yield func(peer.Reference) error) error {
	if s.m.isDead() {
		return fault.New(fault.Interrupted, "dead")
	}
	if err := alive(); err != nil {
		return err
	}
	s.m.mu.Lock()
	references, failure := s.m.references, s.m.referenceErr
	s.m.mu.Unlock()
	for _, r := range references {
		if err := yield(r); err != nil {
			return err
		}
	}
	return failure
}

// Locate says that every message lies in INBOX, with its content's number as UID.
func (s service) Locate(_ context.Context, _ account.ID, contents []mailbox.ItemID) (found []peer.Location, err error) {
	for _, c := range contents {
		found = append(found, peer.Location{Content: c, Folder: mailbox.Inbox, UID: mailbox.UID(c)})
	}
	return found, nil
}
