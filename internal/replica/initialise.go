package replica

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/event"
	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

const snapshotProgressEvery = 50_000 // rows between two lines of the log

// initialise makes this mailstore's copy of an account, unless that is under way. The loop looks at the account again
// when it has ended, well or not.
func (r *Manager) initialise(ctx context.Context, wish directory.Account) {
	r.mu.Lock()
	if r.making[wish.ID] {
		r.mu.Unlock()
		return
	}
	r.making[wish.ID] = true
	r.mu.Unlock()
	go func() {
		select {
		case r.initialising <- struct{}{}:
		case <-ctx.Done():
			return
		}
		err := r.makeCopy(ctx, wish)
		<-r.initialising
		r.mu.Lock()
		delete(r.making, wish.ID)
		if err == nil {
			delete(r.pauses, wish.ID)
		}
		r.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			r.later(ctx, wish.ID, err)
		}
	}()
}

func (r *Manager) isMaking(id account.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.making[id]
}

// makeCopy is one attempt: a snapshot from the source, loaded and fsynced, then the stream from the snapshot's offset on
// until it meets the live reader (design section 5).
func (r *Manager) makeCopy(ctx context.Context, wish directory.Account) error {
	source, ok := r.wishes.Mailstore(wish.MailHost)
	if !ok {
		return fault.New(fault.HomeUnreachable, "the home of %s, %s, is not known", wish.Name, wish.MailHost)
	}
	begun := time.Now()
	body, err := r.peers.Snapshot(ctx, source.PeerAddr, wish.ID, r.self)
	if err != nil {
		return err
	}
	defer body.Close()
	rows := int64(0)
	a, err := r.agent.take(ctx, wish.ID, body, func(n int64) {
		if n/snapshotProgressEvery != rows/snapshotProgressEvery {
			r.logger.Info("a replica is being made", "account", wish.Name, "rows", n)
		}
		rows = n
	})
	if err != nil {
		return err
	}
	if err := r.agent.catchUp(ctx, a); err != nil {
		return err
	}
	r.logger.Info("a replica is available", "account", wish.Name, "rows", rows, "after", time.Since(begun))
	return r.tellState(ctx, wish.ID, directory.Available)
}

// catchUp reads on from the copy's own offset until it meets the live reader, and hands the copy over to it.
func (g *Agent) catchUp(ctx context.Context, a *mailstore.Account) error {
	number, read := a.Copy().Stream.Partition, a.Copy().NextOffset
	if err := g.Follow(ctx, number); err != nil {
		return err
	}
	for {
		handed, next, err := g.handOver(ctx, a, read)
		if err != nil || handed {
			return err
		}
		log := g.Log()
		if log == nil {
			return fault.New(fault.LogUnavailable, "the brokers cannot be reached")
		}
		err = log.ReadRange(ctx, number, read, next, func(entries []eventlog.Entry) error {
			return a.ApplyCatchUp(ctx, entries)
		})
		if err != nil {
			return err
		}
		if c := a.Copy(); c.Condition != protocol.CatchingUp {
			return fault.New(fault.Unusable, "the copy became %s while it was catching up", c.Condition)
		}
		read = next
	}
}

// tellBroken tells the directory and the administrator, once, of a copy that has to be made anew, and keeps the journal of
// one that was deposed while it was paused.
func (r *Manager) tellBroken(ctx context.Context, a *mailstore.Account, replica directory.Replica) error {
	state := map[protocol.Condition]directory.ReplicaState{protocol.Gap: directory.Gap, protocol.Diverged: directory.Diverged}[a.Copy().Condition]
	if state == "" {
		state = directory.Initialising
	}
	kept, err := r.exportJournal(ctx, a)
	if err != nil {
		return err
	}
	if replica.State == state {
		return nil
	}
	if err := r.tellState(ctx, a.ID(), state); err != nil || state == directory.Initialising {
		return err
	}
	text := fmt.Sprintf("The replica of account %s on %s is in state %s. It serves nobody and is being copied anew from %s.",
		a.ID(), r.self, state, a.Copy().Primary)
	if kept != "" {
		text += " Changes that were made here while replication was paused are not in the mailbox; they are kept in " + kept + "."
	}
	_, err = r.dir.AddNotification(ctx, directory.Notification{
		Server: r.self, Type: directory.Warning, Subject: fmt.Sprintf("Replica %s on %s", state, r.self), Text: text,
	})
	return err
}

// journalExport is one line of an exported journal.
type journalExport struct {
	Account  account.ID
	Sequence uint64
	Record   event.ID
	Effects  []string // in Go's syntax, for a person to read
	Encoded  []byte   // the record
}

// exportJournal writes the journal of a deposed copy to a file and returns its name, empty if there is none (rule 11).
func (r *Manager) exportJournal(ctx context.Context, a *mailstore.Account) (string, error) {
	c := a.Copy()
	if c.Journal == 0 {
		return "", nil
	}
	if err := os.MkdirAll(r.export, 0o700); err != nil {
		return "", fault.Wrap(fault.DatabaseUnavailable, err, "the journal of account %s cannot be exported", a.ID())
	}
	name := filepath.Join(r.export, fmt.Sprintf("%s-epoch-%d.journal.jsonl", a.ID(), c.Epoch-1))
	file, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fault.Wrap(fault.DatabaseUnavailable, err, "the journal of account %s cannot be exported", a.ID())
	}
	defer file.Close()
	out := bufio.NewWriter(file)
	lines := json.NewEncoder(out)
	var failed error
	err = a.Journal(ctx, func(entry metadata.JournalEntry) bool {
		failed = lines.Encode(exportOf(a.ID(), entry))
		return failed == nil
	})
	if failed == nil {
		failed = out.Flush()
	}
	if failed == nil {
		failed = file.Sync()
	}
	if err == nil && failed != nil {
		err = fault.Wrap(fault.DatabaseUnavailable, failed, "the journal of account %s cannot be exported", a.ID())
	}
	return name, err
}

func exportOf(id account.ID, entry metadata.JournalEntry) journalExport {
	e := journalExport{Account: id, Sequence: uint64(entry.Sequence), Record: entry.ID, Encoded: entry.Record}
	record, err := event.Decode(entry.Record)
	if err != nil {
		return e
	}
	change, err := event.DecodeChange(record.Payload)
	if err != nil {
		return e
	}
	for _, effect := range change.Effects {
		e.Effects = append(e.Effects, fmt.Sprintf("%T%+v", effect, effect))
	}
	return e
}
