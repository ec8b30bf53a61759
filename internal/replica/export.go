package replica

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"mailreplica/internal/account"
	"mailreplica/internal/blob"
	"mailreplica/internal/event"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailstore"
)

// journalExport is one line of an exported journal.
type journalExport struct {
	Account  account.ID
	Sequence uint64
	Record   event.ID
	Effects  []string // in Go's syntax, for a person to read
	Encoded  []byte   // the records, each behind its length
	Blobs    []blob.Ref
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
	name := filepath.Join(r.export, fmt.Sprintf("%s-epoch-%d"+exportSuffix, a.ID(), c.Epoch-1))
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
		if put, is := effect.(mailbox.PutContent); is {
			e.Blobs = append(e.Blobs, blob.Ref{Volume: put.Content.Volume, Name: put.Content.Blob})
		}
	}
	return e
}

const exportSuffix = ".journal.jsonl"

// exportedBlobs yields the blobs of messages that are in exported journals and perhaps nowhere else. They are kept for as long as
// the files are: a person may want the messages back.
func (r *Manager) exportedBlobs(yield func(account.ID, blob.Ref) error) error {
	names, err := filepath.Glob(filepath.Join(r.export, "*"+exportSuffix))
	for _, name := range names {
		if err == nil {
			err = readExport(name, yield)
		}
	}
	return err
}

func readExport(name string, yield func(account.ID, blob.Ref) error) error {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed meanwhile
	}
	if err != nil {
		return fault.Wrap(fault.DatabaseUnavailable, err, "the exported journal %s cannot be read", name)
	}
	defer file.Close()
	for lines := json.NewDecoder(bufio.NewReader(file)); ; {
		var line journalExport
		err := lines.Decode(&line)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fault.Wrap(fault.DatabaseUnavailable, err, "the exported journal %s cannot be read", name).
				WithHint("move it elsewhere when you have what you want of it")
		}
		for _, ref := range line.Blobs {
			if err := yield(line.Account, ref); err != nil {
				return err
			}
		}
	}
}
