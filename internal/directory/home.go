package directory

import (
	"context"
	"errors"
	"slices"
	"sync"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
)

// homesPerWrite bounds the rows that one write of SetHomes has, for they share a version (changesRowsMax).
const homesPerWrite = changesRowsMax/ReplicasMax - 1

// NewHome says who the log says is primary of an account since an epoch.
type NewHome struct {
	ID        account.ID
	MailHost  string
	Epoch     uint64
	AfterLoss bool // the promotion ended a pause by accepting loss: the wish for the pause ends with it

	// Replicas gives the replicas to put, when it is known who is home in the directory and which replicas it has.
	Replicas func(home string, stored []Replica) []Replica
}

// SetHome records who the log says is primary since an epoch. It changes nothing, and reports false, unless the stored epoch
// is smaller; so a late or repeated report of an old reign does no harm, and every primary may repeat its own.
//
// The replica of the new home goes, and the replicas given are put: of each the mailstore, priority, state and Removing
// count. Every other replica stays as it is, whether the log names it or not: the report may be older than a Join that came
// since, and to end a wish is the administrator's affair. The wish to remove a replica is kept. An account that is gone is
// NotFound.
func (d *Directory) SetHome(ctx context.Context, id account.ID, mailHost string, epoch uint64,
	replicas []Replica) (bool, error) {
	return d.setHome(ctx, NewHome{ID: id, MailHost: mailHost, Epoch: epoch, Replicas: always(replicas)}, isLater)
}

// SetHomes is SetHome for many accounts, each once, in few transactions. Accounts that are gone are left out.
func (d *Directory) SetHomes(ctx context.Context, homes []NewHome) error {
	var mu sync.Mutex
	var failed error
	var writes sync.WaitGroup // at once, so that they share transactions
	for part := range slices.Chunk(homes, homesPerWrite) {
		writes.Go(func() {
			err := d.store.write(ctx, func(t *tx) error { return t.setHomes(part) })
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, err)
		})
	}
	writes.Wait()
	return failed
}

// DeclareHome is SetHome for an operator's decree, which no log arbitrates: it changes nothing, and reports false, unless the
// stored epoch is still known, the one that the decree was weighed against. Of decrees that race, the first one wins.
func (d *Directory) DeclareHome(ctx context.Context, id account.ID, mailHost string, epoch, known uint64,
	replicas []Replica) (bool, error) {
	return d.setHome(ctx, NewHome{ID: id, MailHost: mailHost, Epoch: epoch, Replicas: always(replicas)},
		func(stored, reported uint64) bool { return stored == known && stored < reported })
}

func isLater(stored, reported uint64) bool { return stored < reported }

func always(replicas []Replica) func(string, []Replica) []Replica {
	return func(string, []Replica) []Replica { return replicas }
}

func (d *Directory) setHome(ctx context.Context, h NewHome, may func(stored, reported uint64) bool) (changed bool, err error) {
	if h.Epoch == 0 {
		return false, fault.New(fault.Internal, "a home of epoch 0")
	}
	err = d.store.write(ctx, func(t *tx) (err error) {
		changed, err = t.setHome(h, may)
		return err
	})
	return changed && err == nil, err
}

// setHomes reads what is stored of all accounts before it writes anything.
func (t *tx) setHomes(homes []NewHome) error {
	ids := make([]any, len(homes))
	for i := range homes {
		ids[i] = homes[i].ID[:]
	}
	in := " IN (" + placeholders(len(ids)) + ")"
	accounts, err := rows(&t.query, scanAccount, "SELECT "+accountColumns+" FROM accounts WHERE id"+in, ids...)
	if err != nil {
		return err
	}
	replicas, err := rows(&t.query, scanReplica,
		"SELECT "+replicaColumns+" FROM replicas WHERE account_id"+in+" ORDER BY priority, mailstore", ids...)
	if err != nil {
		return err
	}
	known, stored := map[account.ID]Account{}, map[account.ID][]Replica{}
	for _, a := range accounts {
		known[a.ID] = a
	}
	for _, r := range replicas {
		stored[r.AccountID] = append(stored[r.AccountID], r)
	}
	var w homeWrites
	for _, h := range homes {
		a, is := known[h.ID]
		if !is || !isLater(a.Epoch, h.Epoch) {
			continue
		}
		if err := w.add(a, h, stored[h.ID]); err != nil {
			return err
		}
		delete(known, h.ID) // what was read of it is past: the same account once more waits for the next report
	}
	return t.writeHomes(&w)
}

// setHome writes a new home if its epoch may follow the stored one.
func (t *tx) setHome(h NewHome, may func(stored, reported uint64) bool) (changed bool, err error) {
	a, err := t.mustKnowAccount(h.ID)
	if err != nil || !may(a.Epoch, h.Epoch) {
		return false, err
	}
	stored, err := t.replicas(a.ID)
	if err != nil {
		return false, err
	}
	var w homeWrites
	if err := w.add(a, h, stored); err != nil {
		return false, err
	}
	return true, t.writeHomes(&w)
}

// homeWrites are what the new homes of accounts change, like things together: few statements write many accounts.
type homeWrites struct {
	accounts map[newReign][]any      // ids
	promoted map[string][]account.ID // replicas that go, by mailstore
	replicas []Replica               // that are new
	changed  []Replica               // that are there
}

// newReign is what a new home changes in an account's row.
type newReign struct {
	mailHost string
	epoch    uint64
	paused   bool
}

// add adds a new home of an account, of which this much is stored.
func (w *homeWrites) add(a Account, h NewHome, stored []Replica) error {
	replicas := h.Replicas(a.MailHost, stored)
	if h.Epoch == 0 || len(replicas) > ReplicasMax {
		return fault.New(fault.Internal, "a home of epoch %d with %d replicas", h.Epoch, len(replicas))
	}
	if w.accounts == nil {
		w.accounts, w.promoted = map[newReign][]any{}, map[string][]account.ID{}
	}
	reign := newReign{h.MailHost, h.Epoch, a.Paused && !h.AfterLoss}
	w.accounts[reign] = append(w.accounts[reign], h.ID[:])
	there := func(mailstore string) int {
		return slices.IndexFunc(stored, func(s Replica) bool { return s.Mailstore == mailstore })
	}
	for _, r := range replicas {
		if r.Mailstore == h.MailHost {
			continue
		}
		r.AccountID = a.ID
		if i := there(r.Mailstore); i >= 0 {
			r.Removing = r.Removing || stored[i].Removing
			w.changed = append(w.changed, r)
		} else {
			w.replicas = append(w.replicas, r)
		}
	}
	if there(h.MailHost) >= 0 {
		w.promoted[h.MailHost] = append(w.promoted[h.MailHost], h.ID)
	}
	return nil
}

func (t *tx) writeHomes(w *homeWrites) error {
	for reign, ids := range w.accounts {
		version, err := t.next()
		if err != nil {
			return err
		}
		_, err = t.exec("UPDATE accounts SET mail_host = ?, epoch = ?, paused = ?, version = ? WHERE id IN ("+placeholders(len(ids))+")",
			append([]any{reign.mailHost, int64(reign.epoch), reign.paused, version}, ids...)...)
		if err != nil {
			return err
		}
	}
	for i := range w.changed {
		if err := t.writeReplica(&w.changed[i], true); err != nil {
			return err
		}
	}
	if err := t.addReplicas(w.replicas); err != nil {
		return err
	}
	for mailstore, ids := range w.promoted {
		if err := t.deleteReplicas(mailstore, ids); err != nil {
			return err
		}
	}
	return nil
}
