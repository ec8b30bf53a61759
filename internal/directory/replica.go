package directory

import (
	"context"
	"slices"
	"strings"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
)

// ReplicasMax is how many replicas an account may have.
const ReplicasMax = 16

// ReplicaState is what is known of a replica.
type ReplicaState string

// The states. A replica begins as initialising.
const (
	Initialising ReplicaState = "initialising"
	Available    ReplicaState = "available"
	Unavailable  ReplicaState = "unavailable"
	Diverged     ReplicaState = "diverged"
	Gap          ReplicaState = "gap"
)

// ParseReplicaState reads a state; anything else is Invalid.
func ParseReplicaState(s string) (ReplicaState, error) {
	switch state := ReplicaState(s); state {
	case Initialising, Available, Unavailable, Diverged, Gap:
		return state, nil
	}
	return "", fault.New(fault.Invalid, "%q is not a state of a replica", s)
}

// Replica is the wish that a mailstore holds a copy of an account, and what is known of that copy.
type Replica struct {
	AccountID account.ID
	Mailstore string // FQDN
	Priority  int    // the lowest is promoted first
	State     ReplicaState
	Removing  bool // wish: the copy is to end; the row goes when its Leave is in the log
	UpdatedAt time.Time
	Version   int64
}

// PutReplica wishes for a replica, or for another priority of one that is there. It is refused for a list, an account
// that is being deleted (Invalid), an unknown mailstore (NotFound), the account's home (Invalid). A replica that was
// to be removed is wished for anew, and begins anew as initialising.
func (d *Directory) PutReplica(ctx context.Context, id account.ID, mailstore string, priority int) (Replica, error) {
	var r Replica
	err := d.store.write(ctx, func(t *tx) error {
		a, err := t.mustKnowAccount(id)
		if err != nil {
			return err
		}
		if err := t.mayHoldReplica(a, mailstore); err != nil {
			return err
		}
		old, found, err := t.replica(id, mailstore)
		if err != nil {
			return err
		}
		r = old
		switch {
		case !found || old.Removing:
			r = Replica{AccountID: id, Mailstore: mailstore, Priority: priority, State: Initialising}
		case old.Priority == priority:
			return nil
		}
		r.Priority = priority
		return t.writeReplica(&r, found)
	})
	return r, err
}

func (t *tx) mayHoldReplica(a Account, mailstore string) error {
	switch {
	case a.Kind == List:
		return fault.New(fault.Invalid, "%s is a distribution list", a.Name)
	case a.Deleting:
		return fault.New(fault.Invalid, "the account %s is being deleted", a.Name)
	case a.MailHost == mailstore:
		return fault.New(fault.Invalid, "%s is the home of %s", mailstore, a.Name).WithHint("choose another mailstore")
	}
	if err := t.mustKnowMailstore(mailstore); err != nil {
		return err
	}
	others, err := t.count("SELECT COUNT(*) FROM replicas WHERE account_id = ? AND mailstore <> ?", a.ID[:], mailstore)
	if err == nil && others >= ReplicasMax {
		err = fault.New(fault.TooLarge, "%s has %d replicas, the most there may be", a.Name, ReplicasMax)
	}
	return err
}

// RemoveReplica wishes that a replica ends. The row stays, marked, until FinishRemoveReplica; the mailstore that holds
// the copy need not be there. No such replica is NotFound.
func (d *Directory) RemoveReplica(ctx context.Context, id account.ID, mailstore string) error {
	return d.changeReplica(ctx, id, mailstore, func(r *Replica) error {
		r.Removing = true
		return nil
	})
}

// FinishRemoveReplica deletes a replica whose Leave is in the log. One that is no longer to be removed is Busy: it was
// wished for anew meanwhile, and must be initialised. One that is gone is no error.
func (d *Directory) FinishRemoveReplica(ctx context.Context, id account.ID, mailstore string) error {
	return d.store.write(ctx, func(t *tx) error {
		r, found, err := t.replica(id, mailstore)
		if err != nil || !found {
			return err
		}
		if !r.Removing {
			return fault.New(fault.Busy, "the replica on %s was wished for anew", mailstore)
		}
		return t.deleteReplicas(mailstore, []account.ID{id})
	})
}

// SetReplicaState records what is known of a replica. No such replica is NotFound.
func (d *Directory) SetReplicaState(ctx context.Context, id account.ID, mailstore string, state ReplicaState) error {
	if _, err := ParseReplicaState(string(state)); err != nil {
		return err
	}
	return d.changeReplica(ctx, id, mailstore, func(r *Replica) error {
		r.State = state
		return nil
	})
}

func (d *Directory) changeReplica(ctx context.Context, id account.ID, mailstore string, f func(*Replica) error) error {
	return d.store.write(ctx, func(t *tx) error {
		before, found, err := t.replica(id, mailstore)
		if err != nil {
			return err
		}
		if !found {
			return fault.New(fault.NotFound, "there is no replica of %s on %s", id, mailstore)
		}
		after := before
		if err := f(&after); err != nil || after == before {
			return err
		}
		return t.writeReplica(&after, true)
	})
}

// Replicas gives an account's replicas, the one to be promoted first at the front.
func (d *Directory) Replicas(ctx context.Context, id account.ID) ([]Replica, error) {
	var all []Replica
	err := d.store.read(ctx, func(q *query) (err error) {
		all, err = q.replicas(id)
		return err
	})
	return all, err
}

const replicaColumns = "account_id, mailstore, priority, state, removing, updated_at, version"

func (q *query) replicas(id account.ID) ([]Replica, error) {
	return rows(q, scanReplica,
		"SELECT "+replicaColumns+" FROM replicas WHERE account_id = ? ORDER BY priority, mailstore", id[:])
}

func (q *query) replica(id account.ID, mailstore string) (Replica, bool, error) {
	found, err := rows(q, scanReplica,
		"SELECT "+replicaColumns+" FROM replicas WHERE account_id = ? AND mailstore = ?", id[:], mailstore)
	if err != nil || len(found) == 0 {
		return Replica{}, false, err
	}
	return found[0], true, nil
}

// writeReplica writes a row, which is there or is not, with this transaction's version and time.
func (t *tx) writeReplica(r *Replica, isThere bool) (err error) {
	if err := t.stamp(r); err != nil {
		return err
	}
	statement := insertReplica + replicaRow
	if isThere {
		statement = updateReplica
	}
	_, err = t.exec(statement, r.values()...)
	return err
}

func (t *tx) stamp(r *Replica) (err error) {
	r.UpdatedAt = t.now.UTC().Truncate(time.Millisecond)
	r.Version, err = t.next()
	return err
}

// addReplicas writes rows that are not there.
func (t *tx) addReplicas(replicas []Replica) error {
	for some := range slices.Chunk(replicas, homesPerWrite) {
		var values []any
		for i := range some {
			if err := t.stamp(&some[i]); err != nil {
				return err
			}
			values = append(values, some[i].values()...)
		}
		_, err := t.exec(insertReplica+replicaRow+strings.Repeat(", "+replicaRow, len(some)-1), values...)
		if err != nil {
			return err
		}
	}
	return nil
}

const (
	updateReplica = `UPDATE replicas SET priority = ?, state = ?, removing = ?, updated_at = ?, version = ?
		WHERE account_id = ? AND mailstore = ?`
	insertReplica = "INSERT INTO replicas (priority, state, removing, updated_at, version, account_id, mailstore) VALUES "
	replicaRow    = "(?, ?, ?, ?, ?, ?, ?)"
)

func (r *Replica) values() []any {
	return []any{r.Priority, string(r.State), r.Removing, millis(r.UpdatedAt), r.Version, r.AccountID[:], r.Mailstore}
}

// putReplica writes a row that may be there.
func (t *tx) putReplica(r Replica) error {
	return t.put(updateReplica, r.values(), insertReplica+replicaRow, r.values())
}

// deleteReplicas deletes the replicas of accounts on one mailstore, which all have one there. None at all is no error.
func (t *tx) deleteReplicas(mailstore string, ids []account.ID) error {
	values, keys := []any{mailstore}, make([][]byte, len(ids))
	for i, id := range ids {
		values, keys[i] = append(values, id[:]), replicaKey(id, mailstore)
	}
	met, err := t.exec("DELETE FROM replicas WHERE mailstore = ? AND account_id IN ("+placeholders(len(ids))+")", values...)
	if err != nil || met == 0 {
		return err
	}
	return t.noteRemoved(removedReplica, keys...)
}

func scanReplica(row scanner) (Replica, error) {
	var r Replica
	var id []byte
	var updated int64
	if err := row.Scan(&id, &r.Mailstore, &r.Priority, &r.State, &r.Removing, &updated, &r.Version); err != nil {
		return r, err
	}
	r.UpdatedAt = fromMillis(updated)
	whole := into(&r.AccountID, id)
	_, unknown := ParseReplicaState(string(r.State))
	return r, sound("replica of "+r.AccountID.String()+" on", r.Mailstore,
		claim{"account_id", whole}, claim{"state", unknown == nil}, claim{"updated_at", isTime(updated)})
}
