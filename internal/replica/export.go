package replica

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
)

// journalExport is one line of an exported journal.
type journalExport struct {
	Account  account.ID
	Sequence uint64
	Record   event.ID
	Effects  []string // in Go's syntax, for a person to read
	Encoded  []byte   // the records, each behind its length
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
	err = a.Journal(ctx, func(entry mailstore.Journalled) bool {
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

func exportOf(id account.ID, entry mailstore.Journalled) journalExport {
	e := journalExport{Account: id, Sequence: uint64(entry.Sequence), Record: entry.ID, Encoded: entry.Encoded}
	for _, effect := range entry.Change.Effects {
		e.Effects = append(e.Effects, fmt.Sprintf("%T%+v", effect, effect))
	}
	return e
}
