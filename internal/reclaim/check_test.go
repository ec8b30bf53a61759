package reclaim_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/blob"
	"mailreplica/internal/blob/dir"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/peer"
	"mailreplica/internal/reclaim"
)

// answers are what mailstores say of the blobs they need.
type answers struct {
	mu    sync.Mutex
	refs  map[string][]peer.Reference // by address
	err   map[string]error
	looks int
	then  func(look int) // before each look of the first mailstore
}

func (a *answers) References(_ context.Context, addr, _ string, yield func(peer.Reference) error) error {
	a.mu.Lock()
	if addr == here {
		a.looks++
		if a.then != nil {
			a.then(a.looks)
		}
	}
	refs, failure := slices.Clone(a.refs[addr]), a.err[addr]
	a.mu.Unlock()
	for _, r := range refs {
		if err := yield(r); err != nil {
			return err
		}
	}
	return failure
}

func (a *answers) Locate(_ context.Context, addr string, request peer.LocateRequest) (found []peer.Location, err error) {
	for _, c := range request.Contents {
		if c < 1000 { // the others are expunged meanwhile
			found = append(found, peer.Location{Content: c, Folder: "INBOX at " + addr, UID: mailbox.UID(c)})
		}
	}
	return found, nil
}

func refer(t *testing.T, name string, id account.ID, content mailbox.ItemID, discarded bool) peer.Reference {
	t.Helper()
	b, err := hex.DecodeString(name)
	if err != nil {
		t.Fatal(err)
	}
	return peer.Reference{Blob: [16]byte(b), Account: id, Content: content, Discarded: discarded}
}

// checked is a place whose volume "disk" is a folder.
type checked struct {
	*place
	answers *answers
	checker *reclaim.Checker
	disk    *dir.Volume
	path    string
	spools  string
	id      account.ID
	other   account.ID // lives on the other mailstore
}

func newChecked(t *testing.T) *checked {
	t.Helper()
	p := newPlace(t)
	c := &checked{place: p, answers: &answers{refs: map[string][]peer.Reference{}, err: map[string]error{}}, spools: t.TempDir()}
	c.path = filepath.Join(t.TempDir(), "disk")
	var err error
	if c.disk, err = dir.Open(c.path, "disk"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.disk.Close)
	p.volumes.Replace("disk", c.disk)
	c.id = p.account("user@example.com").ID()
	wish, err := p.directory.CreateAccount(t.Context(), directory.NewAccount{Name: "other@example.com", MailHost: there})
	if err != nil {
		t.Fatal(err)
	}
	c.other = wish.ID
	for _, fqdn := range []string{here, there} {
		if err := p.directory.RegisterMailstore(t.Context(), directory.Mailstore{FQDN: fqdn, Incarnation: fqdn, PeerAddr: fqdn}); err != nil {
			t.Fatal(err)
		}
	}
	p.poll()
	c.checker = reclaim.NewChecker(reclaim.CheckConfig{
		Mailstore: p.mailstore, Wishes: p.follower.Copy(), Refresh: p.follower.Poll, Peers: c.answers, Folder: c.spools,
		Logger: slog.New(slog.DiscardHandler),
	})
	return c
}

// store makes a blob that is so many hours old: its pack is, which no other blob shares.
func (c *checked) store(text string, hours int) string {
	c.t.Helper()
	disk, err := dir.Open(c.path, "disk")
	if err != nil {
		c.t.Fatal(err)
	}
	defer disk.Close()
	w, err := disk.Create(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := fmt.Fprint(w, text); err != nil {
		c.t.Fatal(err)
	}
	name, _, err := w.Commit(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	at := time.Now().Add(-time.Duration(hours) * time.Hour)
	if err := os.Chtimes(filepath.Join(c.path, "blobs", name[:2], name[:24]+".pack"), at, at); err != nil {
		c.t.Fatal(err)
	}
	return name
}

func (c *checked) names() (names []string) {
	c.t.Helper()
	err := c.disk.List(c.t.Context(), "", func(i blob.Info) error { names = append(names, i.Name); return nil })
	if err != nil {
		c.t.Fatal(err)
	}
	return names
}

func (c *checked) check(asked reclaim.Check) reclaim.Report {
	c.t.Helper()
	asked.Volume = "disk"
	if asked.OlderThan == 0 {
		asked.OlderThan = reclaim.OlderThanDefault
	}
	var steps []string
	r, err := c.checker.Check(c.t.Context(), asked, func(step string) { steps = append(steps, step) })
	if err != nil {
		c.t.Fatal(err)
	}
	if !slices.Equal(steps, reclaim.Steps()) {
		c.t.Errorf("told of steps %q, want %q", steps, reclaim.Steps())
	}
	if left, _ := filepath.Glob(filepath.Join(c.spools, "*")); len(left) > 0 {
		c.t.Errorf("temporary files are left: %q", left)
	}
	return r
}

func TestCheckFindsAndRemoves(t *testing.T) {
	c := newChecked(t)
	mine, discarded, theirs := c.store("mine", 100), c.store("discarded", 100), c.store("theirs", 100)
	old, young := c.store("nobody's", 73), c.store("nobody's yet", 71)
	gone := strings.Repeat("0f", 16)
	c.answers.refs[here] = []peer.Reference{
		refer(t, mine, c.id, 1, false), refer(t, mine, c.id, 1, false), refer(t, discarded, c.id, 2, true),
		refer(t, strings.Repeat("ff", 16), c.id, 3, true),     // removed, and still on the list
		refer(t, strings.Repeat("fe", 16), c.id, 1234, false), // expunged between the look and the question
		refer(t, gone, c.id, 4, false),
	}
	c.answers.refs[there] = []peer.Reference{refer(t, theirs, c.other, 7, false), refer(t, strings.Repeat("00", 16), c.other, 8, false)}
	r := c.check(reclaim.Check{Centralised: true})
	if !r.IsComplete() || r.Blobs != (reclaim.Count{Blobs: 5, Bytes: 39}) || r.Unreferenced != (reclaim.Count{Blobs: 1, Bytes: 8}) ||
		r.Young != (reclaim.Count{Blobs: 1, Bytes: 12}) || r.Removed != (reclaim.Count{}) || r.Missing != 2 {
		t.Errorf("got %+v", r)
	}
	if len(r.UnreferencedBlobs) != 1 || r.UnreferencedBlobs[0].Name != old {
		t.Errorf("unreferenced: got %+v, want %s", r.UnreferencedBlobs, old)
	}
	want := []reclaim.MissingBlob{
		{AccountID: c.other, AccountName: "other@example.com", Folder: "INBOX at " + there, UID: 8, Blob: strings.Repeat("00", 16)},
		{AccountID: c.id, AccountName: "user@example.com", Folder: "INBOX at " + here, UID: 4, Blob: gone},
	}
	if !slices.Equal(r.MissingBlobs, want) {
		t.Errorf("missing: got %+v, want %+v", r.MissingBlobs, want)
	}
	if r := c.check(reclaim.Check{Centralised: true, Remove: true}); r.Removed != (reclaim.Count{Blobs: 1, Bytes: 8}) {
		t.Errorf("removed %+v", r.Removed)
	}
	left := []string{mine, discarded, theirs, young}
	slices.Sort(left)
	if got := c.names(); !slices.Equal(got, left) {
		t.Errorf("left are %q, want %q", got, left)
	}
	if r := c.check(reclaim.Check{}); r.Missing != 1 { // on a volume of its own, others' accounts have nothing
		t.Errorf("on a volume of its own: got %+v", r)
	}
}

// Nothing is removed unless every mailstore has said what it needs, in both looks, and every account's home is one of them.
func TestCheckThatIsIncompleteRemovesNothing(t *testing.T) {
	away := fault.New(fault.HomeUnreachable, "it does not answer")
	for name, spoil := range map[string]func(c *checked){
		"away": func(c *checked) { c.answers.err[there] = away },
		"away in the end": func(c *checked) {
			c.answers.then = func(look int) { c.answers.err[there] = map[int]error{2: away}[look] }
		},
		"not read to end": func(c *checked) { c.answers.err[here] = fault.New(fault.NotReady, "still reading") },
		"an unknown home": func(c *checked) {
			if _, err := c.directory.SetHome(c.t.Context(), c.id, "mbox9.example.com", 9, nil); err != nil {
				c.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChecked(t)
			c.store("nobody's", 100)
			spoil(c)
			r := c.check(reclaim.Check{Centralised: true, Remove: true})
			if r.IsComplete() || r.Removed.Blobs != 0 || r.Unreferenced.Blobs != 1 || len(c.names()) != 1 {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// ahead is a volume as a mailstore sees it whose clock is a week before the volume's.
type ahead struct{ blob.Volume }

func (a ahead) List(ctx context.Context, after string, fn func(blob.Info) error) error {
	return a.Volume.List(ctx, after, func(i blob.Info) error {
		i.Modified = i.Modified.Add(-7 * 24 * time.Hour)
		return fn(i)
	})
}

// By a clock that is ahead of the volume's every message that is on its way is old. Nothing is removed then.
func TestCheckByAClockThatIsAhead(t *testing.T) {
	c := newChecked(t)
	c.volumes.Replace("disk", ahead{c.disk})
	name := c.store("on its way", 0)
	r := c.check(reclaim.Check{Centralised: true, Remove: true})
	if got := c.names(); !slices.Equal(got, []string{name}) || r.IsComplete() || r.Removed.Blobs != 0 || !strings.Contains(r.Problems[0], "168h0m0s ahead") {
		t.Errorf("left are %q, got %+v", got, r)
	}
}

// A blob that is named between the two looks stays.
func TestCheckLooksTwice(t *testing.T) {
	c := newChecked(t)
	name := c.store("late", 100)
	c.answers.then = func(look int) {
		if look == 2 {
			c.answers.refs[here] = []peer.Reference{refer(t, name, c.id, 1, false)}
		}
	}
	if r := c.check(reclaim.Check{Centralised: true, Remove: true}); r.Unreferenced.Blobs != 0 || len(c.names()) != 1 {
		t.Errorf("got %+v", r)
	}
}

func TestCheckRefuses(t *testing.T) {
	c := newChecked(t)
	for want, asked := range map[fault.Kind]reclaim.Check{
		fault.Invalid:           {Volume: "disk", OlderThan: 23 * time.Hour},
		fault.VolumeUnavailable: {Volume: "none", OlderThan: 24 * time.Hour},
	} {
		if _, err := c.checker.Check(t.Context(), asked, func(string) {}); !fault.Is(err, want) {
			t.Errorf("%+v: got %v, want kind %v", asked, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.answers.then = func(int) { cancel() }
	if _, err := c.checker.Check(ctx, reclaim.Check{Volume: "disk", OlderThan: 24 * time.Hour}, func(string) {}); !fault.Is(err, fault.Interrupted) {
		t.Errorf("interrupted: got %v", err)
	}
}

// What a process that died has left goes at the next start.
func TestLeftoversOfChecks(t *testing.T) {
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "check-blobs-1", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	reclaim.NewChecker(reclaim.CheckConfig{Folder: folder, Logger: slog.New(slog.DiscardHandler)})
	left := 0
	err := filepath.WalkDir(folder, func(string, fs.DirEntry, error) error { left++; return nil })
	if err != nil || left != 1 {
		t.Errorf("%d entries, %v; want the folder alone", left, err)
	}
}
