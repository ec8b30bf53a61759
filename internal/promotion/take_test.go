package promotion

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/metadata"
	"mailreplica/internal/peer"
	"mailreplica/internal/protocol"
)

// looked is a Switch that notes what is to be looked at once it is let go.
type looked struct{ held, untold []account.ID }

func (l *looked) Hold(ids []account.ID) func([]account.ID) {
	l.held = ids
	return func(untold []account.ID) { l.untold = untold }
}

func (l *looked) TellHomes(context.Context, []*mailstore.Account) error {
	return errors.New("there is nothing to tell")
}

// An account whose Fence failed may be a primary all the same, for its Fence may have been read meanwhile, and the loop that tells the
// directory was kept from it: it is looked at as soon as that ends.
func TestAccountsWhoseFenceFailedAreLookedAt(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	store, err := metadata.Open(t.Context(), filepath.Join(t.TempDir(), "data"), logger)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	c := protocol.NewLocal(account.NewID(), "mbox1.example.com")
	err = store.Update(t.Context(), metadata.Lazy, func(tx *metadata.Tx) error {
		_, err := tx.CreateMailbox(c)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := mailstore.Open(t.Context(), mailstore.Config{Self: c.Self, Store: store, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	a, _ := m.Account(c.Account)
	after := &looked{}
	taker := &Taker{
		Mailstore: m, Switch: after, Logger: logger,
		Reads: func(context.Context, *mailstore.Account) error {
			return fault.New(fault.LogUnavailable, "nobody knows")
		},
	}
	var told []peer.FenceResult
	taker.takeAll(t.Context(), peer.FenceRequest{}, []takeable{{account: a, epoch: c.Epoch + 1}}, func(r peer.FenceResult) { told = append(told, r) })
	if len(told) != 1 || told[0].Error == "" {
		t.Fatalf("got %v, want one failure", told)
	}
	if want := []account.ID{c.Account}; !slices.Equal(after.held, want) || !slices.Equal(after.untold, want) {
		t.Errorf("%v were held and %v are looked at, want both %v", after.held, after.untold, want)
	}
}
