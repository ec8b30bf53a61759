// Package check judges what the clients of a cluster were told, against what its copies hold: whether one order of transactions
// explains every answer, nothing acknowledged is missing or doubled, nothing is there that nobody asked for, and no UID was used
// twice. It knows mailboxes and sequences, and neither the log, nor how mailstores work, nor who simulates them.
package check

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/mailbox"
)

// Outcome is what a client knows of an operation.
type Outcome int

// The outcomes. Unknown: no answer, or a temporary failure; it may have been done, or be done later.
const (
	Unknown Outcome = iota
	Done
	Refused // the answer says that nothing was done, and nothing ever will be
)

// Place is where a message is.
type Place struct {
	Folder mailbox.ItemID
	UID    mailbox.UID
}

// Made is a message that an operation made, as its answer says.
type Made struct {
	Place
	Blob string
	From Place // that it is a copy of; the zero Place: it is no copy
}

// Op is one operation of a client, from when it was asked to its answer. What it makes is known only where it is Done.
type Op struct {
	Account   account.ID
	Client    int
	Kind      string
	Mailstore string
	Started   time.Time // when the process of the mailstore was
	Begun     time.Time
	Ended     time.Time
	Outcome   Outcome
	Why       string           // of a failure
	Sequence  mailbox.Sequence // of its transaction; 0: it changed nothing
	Epoch     uint64           // in which it was acknowledged; 0: not known

	Delivery int    // number of the mail that it delivers, from 1
	Copies   []Made // messages that it makes another of
	Made     []Made
	Takes    []Place        // messages that it removes
	Missing  []Place        // others that it was to remove, which were gone
	Mails    []int          // that these are, as far as whoever asked saw that
	Drops    mailbox.ItemID // folder that it removes, with its messages
	Marks    []Place        // messages that it gives a keyword
	Keyword  string
	Folder   mailbox.ItemID // that it makes or renames
	Name     string         // that the folder gets
	Makes    bool           // it makes the folder

	Journalled bool // acknowledged while the account was paused

	// Timed says that whoever asked was not told the sequence, as over IMAP and LMTP: what the operation did is judged by when it was
	// asked for and answered, in views that are Settled. Where such a delivery put its mail may be unknown: then it has no Made.
	Timed bool
	By    mailbox.Sequence // of one that is Timed: it was done by then, as a MODSEQ says; 0: not known
}

// String is one line.
func (o *Op) String() string {
	return fmt.Sprintf("client %d %s on %s [%s, %s] outcome %d seq %d epoch %d: %s", o.Client, o.Kind, o.Mailstore,
		clock(o.Begun), clock(o.Ended), o.Outcome, o.Sequence, o.Epoch, o.Why)
}

// Took says which of the messages that an operation was to remove it has removed.
func (o *Op) Took(taken []Place) {
	o.Missing = slices.DeleteFunc(slices.Clone(o.Takes), func(p Place) bool { return slices.Contains(taken, p) })
	o.Takes = taken
}

func clock(t time.Time) string { return t.Format("04:05.000000") }

// Row is a message as a view shows it.
type Row struct {
	Place
	Blob     string
	Keywords []string
}

// Folder is a folder as a view shows it.
type Folder struct {
	ID          mailbox.ItemID
	Name        string
	UIDValidity uint32
	UIDNext     mailbox.UID
}

// isVague reports whether it is not known when an operation happened: it got no answer, or one that does not tell the sequence.
func (o *Op) isVague() bool { return o.Outcome == Unknown || o.Outcome == Done && o.Timed }

// View is all of a mailbox as somebody saw it.
type View struct {
	Account   account.ID
	Mailstore string
	Started   time.Time // when the process of the mailstore was
	Begun     time.Time
	Ended     time.Time
	Served    bool             // to a client, by a copy that said that it may; else it was looked at from outside
	Settled   bool             // everything that was answered before it had to show
	Sequence  mailbox.Sequence // 0: not known, and the digest neither
	Only      mailbox.ItemID   // it is of this folder alone, at its HIGHESTMODSEQ, as an IMAP client keeps it; blobs are not known. 0: of all
	Digest    mailbox.Digest
	Rows      map[Place]Row
	Folders   map[mailbox.ItemID]Folder
}

// String is one line.
func (v *View) String() string {
	return fmt.Sprintf("view of %s [%s, %s] seq %d, %d messages", v.Mailstore, clock(v.Begun), clock(v.Ended), v.Sequence, len(v.Rows))
}

func (v *View) covers(folder mailbox.ItemID) bool { return v.Only == 0 || v.Only == folder }

// Read makes a view of rows. The contents that are in known are not read again, for they may be large; known may be nil.
func Read(rows mailbox.Reader, known map[mailbox.ItemID]string) (*View, error) {
	header, err := rows.Header()
	if err != nil {
		return nil, err
	}
	v := &View{Sequence: header.Sequence, Digest: header.Digest, Rows: map[Place]Row{}, Folders: map[mailbox.ItemID]Folder{}}
	folders, err := rows.Folders()
	if err != nil {
		return nil, err
	}
	for _, f := range folders {
		v.Folders[f.ID] = Folder{f.ID, f.Name, f.UIDValidity, f.UIDNext}
		var messages []mailbox.Message
		err := rows.Messages(f.ID, 1, 1<<32-1, func(m mailbox.Message) bool {
			messages = append(messages, m)
			return true
		})
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			blob, found := known[m.ContentID]
			if !found {
				content, found, err := rows.Content(m.ContentID)
				if err != nil {
					return nil, err
				}
				if !found {
					return nil, fmt.Errorf("message %d of folder %s has no content", m.UID, f.Name)
				}
				if blob = content.Blob; known != nil {
					known[m.ContentID] = blob
				}
			}
			place := Place{f.ID, m.UID}
			v.Rows[place] = Row{place, blob, m.Flags.Keywords}
		}
	}
	return v, nil
}

// Taken says that a mailstore told somebody that it had become the primary.
type Taken struct {
	Account   account.ID
	Mailstore string
	At        time.Time
}

// History is everything that was asked and answered. Its methods are safe for concurrent use.
type History struct {
	mu     sync.Mutex
	ops    map[account.ID][]*Op
	views  map[account.ID][]*View
	taken  []Taken
	lossy  map[account.ID]bool // of which an administrator has accepted a loss
	bodies map[string]int      // number of the mail, by blob
}

// NewHistory makes an empty history.
func NewHistory() *History {
	return &History{lossy: map[account.ID]bool{}, ops: map[account.ID][]*Op{}, views: map[account.ID][]*View{}, bodies: map[string]int{}}
}

// Add adds an operation that has ended.
func (h *History) Add(o *Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops[o.Account] = append(h.ops[o.Account], o)
}

// Saw adds a view.
func (h *History) Saw(v *View) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.views[v.Account] = append(h.views[v.Account], v)
}

// Took adds a promotion that was answered.
func (h *History) Took(t Taken) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.taken = append(h.taken, t)
}

// AcceptLoss says that an administrator accepts that acknowledged changes of an account are lost. Nothing is asked any more of what
// its clients were told, but that one mailstore alone acknowledges in an epoch.
func (h *History) AcceptLoss(id account.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lossy[id] = true
}

// Body says which mail a blob is a body of.
func (h *History) Body(blob string, delivery int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bodies[blob] = delivery
}

// Delivery is the mail that a blob is a body of.
func (h *History) Delivery(blob string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bodies[blob]
}

// Counts says how much there is.
func (h *History) Counts() (ops, done, views int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, all := range h.ops {
		ops += len(all)
		for _, o := range all {
			if o.Outcome == Done {
				done++
			}
		}
	}
	for _, all := range h.views {
		views += len(all)
	}
	return ops, done, views
}

// Differ says how two views differ, if they do.
func Differ(a, b *View) string {
	switch {
	case a.Sequence != b.Sequence:
		return fmt.Sprintf("sequences %d and %d", a.Sequence, b.Sequence)
	case a.Digest != b.Digest:
		return fmt.Sprintf("digests %s and %s", a.Digest, b.Digest)
	case !maps.EqualFunc(a.Rows, b.Rows, func(x, y Row) bool {
		return x.Place == y.Place && x.Blob == y.Blob && slices.Equal(x.Keywords, y.Keywords)
	}):
		return "messages"
	case !maps.Equal(a.Folders, b.Folders):
		return "folders"
	}
	return ""
}
