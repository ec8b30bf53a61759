package reclaim

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/blob"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/peer"
)

// Limits of a check.
const (
	OlderThanDefault = 72 * time.Hour
	OlderThanMin     = 24 * time.Hour // longer than any message is on its way: an APPEND takes 12 h at most
	clockAheadMax    = time.Hour      // of the volume's; by one that is further ahead nothing is removed

	namesToldMax    = 1_000     // unreferenced blobs that a report names, and missing ones
	unreferencedMax = 1_000_000 // that one check can remove; another finds the rest
	missingMax      = 100_000   // that are looked at again
	checkRemovesMax = 200       // blobs a second
)

// References is what a check asks of every mailstore, this one included.
type References interface {
	References(ctx context.Context, addr, volume string, yield func(peer.Reference) error) error
	Locate(ctx context.Context, addr string, request peer.LocateRequest) ([]peer.Location, error)
}

// CheckConfig is what a Checker is made of.
type CheckConfig struct {
	Mailstore *mailstore.Mailstore
	Wishes    *directory.Copy
	Refresh   func(context.Context) error // brings Wishes up to date
	Peers     References
	Folder    string // for temporary files: 41 bytes a reference
	Logger    *slog.Logger
}

// Checker finds what a volume and the mailboxes of all mailstores disagree about.
type Checker struct{ c CheckConfig }

// NewChecker makes a Checker. What an earlier process left in its folder is removed.
func NewChecker(c CheckConfig) *Checker {
	removeSpools(c.Folder, c.Logger)
	return &Checker{c}
}

// Check asks for one volume of this mailstore to be checked.
type Check struct {
	Volume      string
	Centralised bool // else only this mailstore's accounts have blobs there
	Remove      bool
	OlderThan   time.Duration // blobs that are younger are not touched
}

// Report is what a check found.
type Report struct {
	Volume    string    `json:"volume"`
	Mailstore string    `json:"mailstore"` // that ran it
	Begun     time.Time `json:"begun"`
	Ended     time.Time `json:"ended"`

	// Problems say who could not be asked, and why. With any, blobs that are counted as unreferenced may be referenced, and
	// nothing is removed.
	Problems []string `json:"problems"`

	Blobs        Count `json:"blobs"`        // in the volume
	Unreferenced Count `json:"unreferenced"` // and old enough, in two looks
	Young        Count `json:"young"`        // that were unreferenced and not old enough
	Removed      Count `json:"removed"`
	Missing      int64 `json:"missing"` // contents whose blob is not in the volume
	More         bool  `json:"more"`    // there are more than one check looks at; another finds them

	UnreferencedBlobs []FoundBlob   `json:"unreferencedBlobs"` // the first of them
	MissingBlobs      []MissingBlob `json:"missingBlobs"`      // the first of them
}

// IsComplete reports whether everybody was asked.
func (r *Report) IsComplete() bool { return len(r.Problems) == 0 }

// Count counts blobs.
type Count struct {
	Blobs int64 `json:"blobs"`
	Bytes int64 `json:"bytes"`
}

func (c *Count) add(size int64) { c.Blobs, c.Bytes = c.Blobs+1, c.Bytes+size }

// FoundBlob is a blob that nothing refers to.
type FoundBlob struct {
	Name     string    `json:"name"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
}

// MissingBlob is a message without a body. Folder and UID are those of one of the messages that share it.
type MissingBlob struct {
	AccountID   account.ID  `json:"accountId"`
	AccountName string      `json:"accountName"`
	Folder      string      `json:"folder"`
	UID         mailbox.UID `json:"uid"`
	Blob        string      `json:"blob"`
}

// check is one check under way.
type check struct {
	*Checker
	asked      Check
	volume     blob.Volume
	mailstores []directory.Mailstore
	progress   func(step string)
	report     Report
	old        time.Time // blobs from before are old enough

	unreferenced map[[16]byte]FoundBlob
	missing      []peer.Reference
}

// Steps are what progress is told, in this order, of a check that is carried out to its end.
func Steps() []string {
	steps := []string{"references"}
	for digit := range 16 {
		steps = append(steps, listStep(digit))
	}
	return append(steps, "references again", "removal")
}

func listStep(digit int) string {
	return "blobs " + hex.EncodeToString([]byte{byte(digit)})[1:] + "…"
}

// Check checks a volume. progress is told of each step as it is done. An error means that nothing was found out; who could not be
// asked is in the report.
//
// Who may remove what: a blob that was written a day ago or more, and that neither a row of any mailstore's database names, nor
// a transaction in flight, nor a record of the log, in two looks, will be named by nothing. A change names bodies within
// minutes of their writing, half a day at most. A record that was appended and has not been read would have been: each
// mailstore reads its streams to their ends before it answers. And one that was neither read nor is in the log cannot come:
// its writer has it in flight, and says so, or has ended, and what it sent is in the log or lost.
func (k *Checker) Check(ctx context.Context, asked Check, progress func(step string)) (Report, error) {
	if asked.OlderThan < OlderThanMin {
		return Report{}, fault.New(fault.Invalid, "blobs of the last %s are never looked at as unreferenced: messages may be on their way", OlderThanMin).
			WithHint("give older_than_hours %d or more", int(OlderThanMin.Hours()))
	}
	volume, err := k.c.Mailstore.Volume(asked.Volume)
	if err != nil {
		return Report{}, err
	}
	if err := k.c.Refresh(ctx); err != nil {
		return Report{}, err
	}
	begun := time.Now()
	c := &check{
		Checker: k, asked: asked, volume: volume, mailstores: k.c.Wishes.Mailstores(), progress: progress, old: begun.Add(-asked.OlderThan),
		unreferenced: map[[16]byte]FoundBlob{},
		report: Report{Volume: asked.Volume, Mailstore: k.c.Mailstore.Self(), Begun: begun, Problems: []string{},
			UnreferencedBlobs: []FoundBlob{}, MissingBlobs: []MissingBlob{}},
	}
	for _, step := range []func(context.Context) error{c.look, c.lookAgain, c.locate, c.remove} {
		if err := step(ctx); err != nil {
			return Report{}, err
		}
	}
	c.report.Ended = time.Now()
	return c.report, nil
}

// problem notes why something could not be found out, once.
func (c *check) problem(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(c.report.Problems, text) {
		c.report.Problems = append(c.report.Problems, text)
	}
}

// ask asks every mailstore for its references. Who does not answer is a problem, and the others are asked all the same.
func (c *check) ask(ctx context.Context, yield func(peer.Reference) error) error {
	known := map[string]bool{}
	for _, m := range c.mailstores {
		known[m.FQDN] = true
		var own error
		err := c.c.Peers.References(ctx, m.PeerAddr, c.asked.Volume, func(r peer.Reference) error {
			own = yield(r)
			return own
		})
		switch {
		case ctx.Err() != nil:
			return fault.Wrap(fault.Interrupted, ctx.Err(), "interrupted")
		case own != nil:
			return own
		case err != nil:
			c.problem("%s does not say which blobs it needs: %s", m.FQDN, fault.Message(err))
		}
	}
	lost := c.c.Wishes.Accounts(func(a *directory.Account) bool { return a.Epoch > 0 && !known[a.MailHost] })
	if len(lost) > 0 {
		c.problem("the home of %s, %s, is not known, and so it is with %d accounts", lost[0].Name, lost[0].MailHost, len(lost))
	}
	return nil
}

// look takes the first look: who refers to what, and then what is there.
func (c *check) look(ctx context.Context) error {
	s, err := newSpool(c.c.Folder)
	if err != nil {
		return err
	}
	defer s.close()
	if err := c.ask(ctx, s.add); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	c.progress("references")
	at := shelf{c: c, spool: s, next: 0}
	if err := c.volume.List(ctx, "", at.see); err != nil {
		return err
	}
	if err := at.advance(spoolFiles); err != nil {
		return err
	}
	at.end()
	return nil
}

// shelf compares what is listed, in the order of names, with the references to names that begin alike.
type shelf struct {
	c     *check
	spool *spool
	next  int // the spool's file after the one that refs are of
	refs  map[[16]byte]*named
}

// named is a blob that is referred to.
type named struct {
	ref  peer.Reference // one that is not discarded, if there is one
	seen bool
}

func (s *shelf) see(info blob.Info) error {
	var name [16]byte
	if n, err := hex.Decode(name[:], []byte(info.Name)); err != nil || n != len(name) {
		return nil // no volume makes such a name, and List gives none
	}
	if err := s.advance(int(name[0]) + 1); err != nil {
		return err
	}
	s.c.report.Blobs.add(info.Size)
	if n := s.refs[name]; n != nil {
		n.seen = true
		return nil
	}
	switch {
	case !info.Modified.Before(s.c.old):
		s.c.report.Young.add(info.Size)
	case len(s.c.unreferenced) < unreferencedMax:
		s.c.unreferenced[name] = FoundBlob{Name: info.Name, Size: info.Size, Modified: info.Modified}
	default:
		s.c.report.More = true
	}
	return nil
}

// advance makes the references to names that begin with the byte before next the ones that are compared.
func (s *shelf) advance(next int) error {
	for s.next < next {
		s.end()
		var err error
		if s.refs, err = s.spool.read(s.next); err != nil {
			return err
		}
		s.next++
	}
	return nil
}

// end keeps what was referred to and not seen.
func (s *shelf) end() {
	if s.next > 0 && s.next%16 == 0 {
		s.c.progress(listStep(s.next/16 - 1))
	}
	for _, n := range s.refs {
		switch {
		case n.seen || n.ref.Discarded || !s.c.concerns(n.ref.Account):
		case len(s.c.missing) < missingMax:
			s.c.missing = append(s.c.missing, n.ref)
		default:
			s.c.report.More = true
		}
	}
	s.refs = nil
}

// concerns reports whether an account's blobs must be on the volume: on a volume of its own, a mailstore has only those of
// its own accounts, though others may have a volume of the same name.
func (c *check) concerns(id account.ID) bool {
	wish, known := c.c.Wishes.Account(id)
	return known && (c.asked.Centralised || wish.MailHost == c.c.Mailstore.Self())
}

// lookAgain takes the second look: what was unreferenced then and is now.
func (c *check) lookAgain(ctx context.Context) error {
	if len(c.unreferenced) > 0 {
		if err := c.c.Refresh(ctx); err != nil {
			return err
		}
		c.mailstores = c.c.Wishes.Mailstores()
		err := c.ask(ctx, func(r peer.Reference) error {
			delete(c.unreferenced, r.Blob)
			return nil
		})
		if err != nil {
			return err
		}
	}
	c.progress("references again")
	return nil
}
