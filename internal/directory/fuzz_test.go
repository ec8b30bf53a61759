package directory_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"
	"unicode/utf8"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/sqlite/sqlitetest"
)

// FuzzRows puts anything into any column of the directory's database, as a bad disk or a careless hand does. Whoever reads it gets
// what can be told on, or an error that says what is damaged; nobody gets an account less without being told.
func FuzzRows(f *testing.F) {
	d := newDamage(f)
	for i, c := range d.rows.Columns {
		f.Add(uint16(i), uint8(i%5), int64(-1), []byte("\xff'\x00"))
		if c.Name == "version" || c.Name == "value" {
			f.Add(uint16(i), uint8(0), int64(1)<<62, []byte(nil))
			f.Add(uint16(i), uint8(3), int64(0), []byte(nil))
		}
	}
	f.Fuzz(func(t *testing.T, column uint16, kind uint8, number int64, text []byte) {
		at := d.rows.Columns[int(column)%len(d.rows.Columns)]
		value := [...]any{number, string(text), text, nil, float64(number) / 3}[int(kind)%5]
		if d.rows.Put(t, at, value, "rowid = (SELECT min(rowid) FROM "+at.Table+")") {
			d.readAll(t, fmt.Sprintf("%s.%s = %.80q", at.Table, at.Name, fmt.Sprint(value)))
		}
	})
}

// damage is a directory whose rows are damaged, and mended again.
type damage struct {
	rows *sqlitetest.Damage

	path      string
	directory *directory.Directory
	copy      *directory.Copy
	accounts  []account.ID
	operation string
}

func newDamage(f *testing.F) *damage {
	d := &damage{path: filepath.Join(f.TempDir(), "directory.db")}
	d.directory = sqlite.newDirectory(f, directory.Options{Path: d.path})
	d.fill(f)
	raw, err := sql.Open("sqlite", "file:"+d.path+"?_pragma=busy_timeout(5000)")
	must(f, err)
	_, err = raw.Exec("INSERT INTO meta (name, value) VALUES ('confirmed_at', '1767323045000')")
	must(f, errors.Join(err, raw.Close()))
	d.rows = sqlitetest.NewDamage(f, d.path, []string{"STRICT", "NOT NULL"})
	copied, err := directory.OpenCopy(f.Context(), filepath.Join(f.TempDir(), "copy.db"), directory.Options{})
	must(f, err)
	f.Cleanup(func() { copied.Close() })
	d.copy = copied
	return d
}

// fill puts rows into every table.
func (d *damage) fill(f *testing.F) {
	ctx := f.Context()
	for _, name := range []string{"a@example.com", "b@example.com"} {
		a := newAccount(f, d.directory, name, mbox1)
		_, err := d.directory.PutReplica(ctx, a.ID, mbox2, 1)
		must(f, err)
		d.accounts = append(d.accounts, a.ID)
	}
	gone := newAccount(f, d.directory, "gone@example.com", mbox2)
	_, err := d.directory.BeginDelete(ctx, gone.ID)
	must(f, err)
	must(f, d.directory.FinishDelete(ctx, gone.ID))
	must(f, d.directory.SetConfig(ctx, "brokers", "127.0.0.1:9092"))
	must(f, d.directory.SetConfig(ctx, "unset", "1"))
	must(f, d.directory.UnsetConfig(ctx, "unset"))
	b, err := d.directory.CreateBucket(ctx, directory.Bucket{Kind: directory.S3Bucket, Name: "mail", AccessKey: "k", Secret: "s"})
	must(f, err)
	must(f, d.directory.CreateVolume(ctx, directory.Volume{Mailstore: mbox1, Name: "v", Kind: directory.S3Volume, BucketID: b.ID, Primary: true, Centralised: true}))
	op, err := d.directory.CreateOperation(ctx, directory.Operation{Type: "promoteAccounts", Host: mbox1}, []directory.NewItem{{Account: "a@example.com"}})
	must(f, err)
	d.operation = op.ID
	_, err = d.directory.AddNotification(ctx, directory.Notification{Server: mbox1, Type: directory.Warning, Subject: "s", Text: "t"})
	must(f, err)
}

// readAll reads by every way there is, and writes what is written all the time.
func (d *damage) readAll(t *testing.T, what string) {
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	see := func(value any, err error) {
		t.Helper()
		if err != nil {
			explained(t, what, err)
		} else if _, err := json.Marshal(value); err != nil {
			t.Errorf("%s: what was read cannot be told: %v", what, err)
		}
	}
	see(d.directory.Mailstores(ctx))
	see(d.directory.Buckets(ctx))
	see(d.directory.Volumes(ctx))
	see(d.directory.AllConfig(ctx))
	see(d.directory.CountByHome(ctx))
	see(d.directory.Notifications(ctx, 0))
	see(d.directory.Operations(ctx, directory.OperationFilter{}))
	see(d.directory.OperationItems(ctx, d.operation, directory.ItemFilter{}))
	see(d.directory.FullSince(ctx, 0))
	d.copyAll(t, ctx, what)
	d.openAsCopy(t, ctx, what)
	for _, id := range d.accounts {
		see(d.directory.Account(ctx, id))
		see(d.directory.Replicas(ctx, id))
		see(d.directory.SetPaused(ctx, id, true))
		see(d.directory.SetHome(ctx, id, mbox2, 7, []directory.Replica{{Mailstore: mbox1, State: directory.Available}}))
	}
	see(nil, d.directory.Heartbeat(ctx, mbox1, "incarnation of "+mbox1))
	see(nil, d.directory.SetConfig(ctx, "brokers", "127.0.0.1:9093"))
	see(d.directory.RecordProgress(ctx, d.operation, directory.Running, []directory.ItemResult{{Position: 0, State: directory.ItemFailed}}))
	see(nil, d.directory.Prune(ctx))
}

// explained makes sure that an operator can do something with an error.
func explained(t *testing.T, what string, err error) {
	t.Helper()
	var ours *fault.Error
	text := fault.Message(err)
	if !errors.As(err, &ours) || ours.Kind == fault.Internal || text == "" || len(text) > 1000 || !utf8.ValidString(text) || fault.HintOf(err) == "" {
		t.Errorf("%s: %v (kind %v)", what, err, fault.KindOf(err))
	}
}

// copyAll copies the directory, as a mailstore does that starts for the first time.
func (d *damage) copyAll(t *testing.T, ctx context.Context, what string) {
	t.Helper()
	page, err := d.directory.Since(ctx, 0)
	if err != nil {
		explained(t, what, err)
		return
	}
	if _, err := d.copy.Apply(ctx, page); err != nil {
		explained(t, what, err)
		return
	}
	d.complete(t, what, d.copy)
}

// openAsCopy opens the file as if it were a mailstore's copy.
func (d *damage) openAsCopy(t *testing.T, ctx context.Context, what string) {
	t.Helper()
	c, err := directory.OpenCopy(ctx, d.path, directory.Options{})
	if err != nil {
		explained(t, what, err)
		return
	}
	defer c.Close()
	d.complete(t, what, c)
}

// complete counts what a copy has.
func (d *damage) complete(t *testing.T, what string, c *directory.Copy) {
	t.Helper()
	all := c.Accounts(func(*directory.Account) bool { return true })
	if _, err := json.Marshal(all); err != nil || len(all) != len(d.accounts) || len(c.Mailstores()) != 3 || len(c.AllVolumes()) != 1 {
		t.Errorf("%s: the copy has %d accounts, %d mailstores and %d volumes (%v)", what, len(all), len(c.Mailstores()), len(c.AllVolumes()), err)
	}
	for _, a := range all {
		if _, found := c.AccountByName(a.Name); !found {
			t.Errorf("%s: %q is not found by its name", what, a.Name)
		}
	}
}

// TestDamagedRowsAreNamed pins what an operator is told, in the directory and in a mailstore's copy of it.
func TestDamagedRowsAreNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory.db")
	d := sqlite.newDirectory(t, directory.Options{Path: path})
	a := newAccount(t, d, "a@example.com", mbox1)
	raw, err := sql.Open("sqlite", "file:"+path)
	must(t, err)
	defer raw.Close()
	_, err = raw.Exec("UPDATE accounts SET status = 'activ'")
	must(t, err)
	want := `the row of the account "a@example.com" is damaged: what its column status holds was never written`

	_, err = d.Account(t.Context(), a.ID)
	wantKind(t, err, fault.DirectoryUnavailable)
	if got := fault.Message(err); got != "the directory: "+want || fault.HintOf(err) != "correct the row in "+path+", or restore the directory from a backup" {
		t.Errorf("got %q, hint %q", got, fault.HintOf(err))
	}
	_, err = directory.OpenCopy(t.Context(), path, directory.Options{})
	wantKind(t, err, fault.DatabaseUnavailable)
	if got := fault.Message(err); got != "the copy of the directory: "+want || fault.HintOf(err) != "stop the mailstore and delete "+path+": the copy is made anew" {
		t.Errorf("got %q, hint %q", got, fault.HintOf(err))
	}
	_, err = raw.Exec("DELETE FROM counters")
	must(t, err)
	_, err = d.Since(t.Context(), 0)
	wantKind(t, err, fault.DirectoryUnavailable)
}
