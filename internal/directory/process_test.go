package directory_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/mariadb"
)

// childRole tells this test's binary to be another process that uses the directory that childPlace describes.
const (
	childRole  = "MAILREPLICA_DIRECTORY_TEST_CHILD"
	childPlace = "MAILREPLICA_DIRECTORY_TEST_PLACE"
)

// place is where a directory is.
type place struct{ Path, Address, Database, User, Password string }

func child(role string) error {
	ctx := context.Background()
	var at place
	if err := json.Unmarshal([]byte(os.Getenv(childPlace)), &at); err != nil {
		return err
	}
	opts := directory.Options{Path: at.Path}
	if at.Address != "" {
		opts.MariaDB = &mariadb.Config{Address: at.Address, Database: at.Database, User: at.User, Password: at.Password}
	}
	if role == "hold" {
		return holdTransaction(ctx, opts)
	}
	d, err := directory.Open(opts)
	if err != nil {
		return err
	}
	defer d.Close()
	who, _, _ := strings.Cut(role, "-")
	switch who {
	case "contend":
		return contend(ctx, d, role)
	case "create":
		for i := 0; ; i++ { // until it is killed
			a, err := d.CreateAccount(ctx, directory.NewAccount{Name: fmt.Sprintf("u%d@x", i)})
			if err != nil {
				return err
			}
			fmt.Println(a.ID) // the acknowledgement
		}
	}
	return fmt.Errorf("no role %q", role)
}

const contended = 40

// contend tries to create accounts that other processes try to create, and to be home of one account in every epoch.
func contend(ctx context.Context, d *directory.Directory, role string) error {
	shared, err := directory.AccountByName(ctx, d, "shared@x")
	if err != nil {
		return err
	}
	for i := range contended {
		_, err := d.CreateAccount(ctx, directory.NewAccount{Name: fmt.Sprintf("u%d@x", i)})
		if err == nil {
			fmt.Println("created", i)
		} else if !fault.Is(err, fault.Exists) {
			return err
		}
		won, err := d.SetHome(ctx, shared.ID, role+".example.com", uint64(i+1), nil)
		if err != nil {
			return err
		}
		if won {
			fmt.Println("home", i+1)
		}
	}
	return nil
}

// holdTransaction is killed in the middle of a transaction that has written.
func holdTransaction(ctx context.Context, opts directory.Options) error {
	db, err := sql.Open("sqlite", "file:"+opts.Path+"?_txlock=immediate")
	first := "PRAGMA cache_spill = 1"
	if opts.MariaDB != nil {
		db, err = mariadb.Open(*opts.MariaDB, mariadb.Options{})
		first = "SELECT value FROM counters WHERE name = 'version' FOR UPDATE"
	}
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, statement := range []string{
		first, "UPDATE counters SET value = value + 1000000 WHERE name = 'version'",
		"UPDATE accounts SET mail_host = 'nowhere', epoch = 99, version = 1000001",
	} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	fmt.Println("holding")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// process is a child that a test started.
type process struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func start(t *testing.T, role string, opts directory.Options) *process {
	t.Helper()
	at := place{Path: opts.Path}
	if c := opts.MariaDB; c != nil {
		at = place{Address: c.Address, Database: c.Database, User: c.User, Password: c.Password}
	}
	text := must1(json.Marshal(at))(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"="+role, childPlace+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	in, err := cmd.StdinPipe() // held open until the test ends, as the child's sign that it does
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { in.Close(); cmd.Process.Kill() })
	return &process{cmd, bufio.NewScanner(out)}
}

// kill ends the process as a power switch would, and gives what it had said by then.
func (p *process) kill(t *testing.T) []string {
	t.Helper()
	must(t, p.cmd.Process.Kill())
	var rest []string
	for p.lines.Scan() {
		rest = append(rest, p.lines.Text())
	}
	_ = p.cmd.Wait() // it was killed
	return rest
}

func TestProcessesWriteAtOnce(t *testing.T) { onEngines(t, testProcessesWriteAtOnce) }

func testProcessesWriteAtOnce(t *testing.T, r rig) {
	opts := r.empty(t)
	d := r.newDirectory(t, opts)
	shared := newAccount(t, d, "shared@x", mbox1)
	before, err := d.Version(t.Context())
	must(t, err)
	var mu sync.Mutex
	created, homes := map[string]int{}, map[uint64]string{}
	var group sync.WaitGroup
	for _, role := range []string{"contend-a", "contend-b", "contend-c"} {
		p := start(t, role, opts)
		group.Go(func() {
			for p.lines.Scan() {
				what, number, _ := strings.Cut(p.lines.Text(), " ")
				mu.Lock()
				if what == "created" {
					created[number]++
				} else if epoch, err := strconv.ParseUint(number, 10, 64); err == nil {
					if other := homes[epoch]; other != "" {
						t.Errorf("%s and %s are both home of epoch %d", other, role, epoch)
					}
					homes[epoch] = role
				}
				mu.Unlock()
			}
			if err := p.cmd.Wait(); err != nil {
				t.Errorf("%s: %v", role, err)
			}
		})
	}
	group.Wait()
	if len(created) != contended {
		t.Errorf("%d accounts were made, want %d", len(created), contended)
	}
	for number, times := range created {
		if times != 1 {
			t.Errorf("account %s was made %d times", number, times)
		}
	}
	got, err := d.Account(t.Context(), shared.ID)
	must(t, err)
	if got.Epoch != contended || got.MailHost != homes[contended]+".example.com" {
		t.Errorf("home %s of epoch %d, want %s", got.MailHost, got.Epoch, homes[contended])
	}
	after, err := d.Version(t.Context())
	if want := before + int64(len(created)+len(homes)); err != nil || after != want {
		t.Errorf("version %d, want %d: one for each write that changed something, %v", after, want, err)
	}
}

func TestKilledInTheMiddleOfATransaction(t *testing.T) {
	onEngines(t, testKilledInTheMiddleOfATransaction)
}

func testKilledInTheMiddleOfATransaction(t *testing.T, r rig) {
	opts := r.empty(t)
	d := r.newDirectory(t, opts)
	a := newAccount(t, d, "a@x", mbox1)
	version, err := d.Version(t.Context())
	must(t, err)
	p := start(t, "hold", opts)
	if !p.lines.Scan() || p.lines.Text() != "holding" {
		t.Fatalf("the child says %q", p.lines.Text())
	}
	written := make(chan error, 1)
	go func() { written <- d.SetConfig(context.Background(), "c", "1") }() // waits for the lock
	if got, err := d.Account(t.Context(), a.ID); err != nil || got != a {
		t.Errorf("readers see %+v, %v, want %+v", got, err, a)
	}
	p.kill(t)
	must(t, <-written)
	if got, err := d.Account(t.Context(), a.ID); err != nil || got != a {
		t.Errorf("after the kill: %+v, %v, want %+v", got, err, a)
	}
	if after, err := d.Version(t.Context()); err != nil || after != version+1 {
		t.Errorf("version %d, %v, want %d", after, err, version+1)
	}
}

func TestWritersAreKilled(t *testing.T) { onEngines(t, testWritersAreKilled) }

func testWritersAreKilled(t *testing.T, r rig) {
	opts := r.empty(t)
	d := r.newDirectory(t, opts)
	copied, err := directory.OpenCopy(t.Context(), filepath.Join(t.TempDir(), "copy.db"), directory.Options{})
	must(t, err)
	defer copied.Close()
	follower := directory.NewFollower(directory.FollowerConfig{Directory: d, Copy: copied})
	var acknowledged []string
	for round := range 4 {
		p := start(t, "create", opts)
		for len(acknowledged) < (round+1)*15 {
			if !p.lines.Scan() {
				t.Fatal("the child ended")
			}
			acknowledged = append(acknowledged, p.lines.Text())
			if len(acknowledged)%5 == 0 {
				must(t, follower.Poll(t.Context()))
			}
		}
		acknowledged = append(acknowledged, p.kill(t)...)
		must(t, deleteAll(t, d)) // the next one makes the same names
	}
	must(t, follower.Poll(t.Context()))
	for _, text := range acknowledged {
		id, err := account.ParseID(text)
		must(t, err)
		if deleted, err := d.IsDeleted(t.Context(), id); err != nil || !deleted || !copied.IsDeleted(id) {
			t.Errorf("an account that was acknowledged is lost: %s, %v", id, err)
		}
	}
}

func deleteAll(t *testing.T, d *directory.Directory) error {
	all, err := directory.AllAccounts(t.Context(), d)
	for _, a := range all {
		if _, err = d.BeginDelete(t.Context(), a.ID); err == nil {
			err = d.FinishDelete(t.Context(), a.ID)
		}
		if err != nil {
			return err
		}
	}
	return err
}

func TestManyCreateAtOnce(t *testing.T) { onEngines(t, testManyCreateAtOnce) }

func testManyCreateAtOnce(t *testing.T, r rig) {
	opts := r.empty(t)
	var group sync.WaitGroup
	identities := make(chan string, 8)
	for range 8 {
		group.Go(func() {
			d, err := directory.Create(t.Context(), opts)
			if err != nil {
				t.Error(err)
				return
			}
			defer d.Close()
			identity, err := d.Identity(t.Context())
			if err != nil {
				t.Error(err)
			}
			identities <- identity
		})
	}
	group.Wait()
	first := <-identities
	for range 7 {
		if other := <-identities; other != first || first == "" {
			t.Errorf("identities %q and %q", first, other)
		}
	}
}
