// Package model turns what clients of real protocols were told into a history that the checkers of the simulation judge. LMTP does
// not tell where a mail was put, and IMAP neither the sequence of a change nor a number of a folder that stays: mails are known by
// the number in their header, folders by their UIDVALIDITY, which no two folders of a mailbox share, and places by looking.
package model

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/sim/check"
)

const inbox = "INBOX"

// viewsMax bounds how many views of a working client are judged, beside those that are settled.
const viewsMax = 300

// Record is everything that clients asked and were answered. Its methods are safe for concurrent use.
type Record struct {
	mu       sync.Mutex
	ops      []*check.Op
	views    []*check.View
	problems []string
	working  int // views that are not settled
	acked    int
}

// Add adds an operation that has ended.
func (r *Record) Add(o *check.Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, o)
	if o.Outcome == check.Done {
		r.acked++
	}
}

// Saw adds a view. Of too many the first are kept: clients take from what they see only what a kept view shows.
func (r *Record) Saw(v *check.View) (kept bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !v.Settled {
		if r.working++; r.working > viewsMax {
			return false
		}
	}
	r.views = append(r.views, v)
	return true
}

// Problem adds what must never be.
func (r *Record) Problem(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// Acked is the number of operations that were acknowledged.
func (r *Record) Acked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.acked
}

// Counts says how much there is.
func (r *Record) Counts() (ops, acked, views int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ops), r.acked, len(r.views)
}

// Blob names the body of a mail of a number, since no client sees blobs.
func Blob(mail int) string { return fmt.Sprintf("mail %d", mail) }

// mailOf is the number of the mail that a blob is the body of, 0 if it is of none.
func mailOf(blob string) (mail int) {
	_, err := fmt.Sscanf(blob, "mail %d", &mail)
	if err != nil {
		return 0
	}
	return mail
}

// Write writes everything, a line of JSON for each operation and view, in the order in which they ended.
func (r *Record) Write(w io.Writer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	encoder := json.NewEncoder(w)
	for _, o := range r.ops {
		if err := encoder.Encode(o); err != nil {
			return err
		}
	}
	for _, v := range r.views {
		if err := encoder.Encode(jsonView(v)); err != nil {
			return err
		}
	}
	return nil
}

// jsonView is a view without maps whose keys JSON does not know.
func jsonView(v *check.View) any {
	line := struct {
		Account      account.ID
		View         string
		Begun, Ended time.Time
		Settled      bool
		Folders      []check.Folder
		Rows         []check.Row
	}{Account: v.Account, View: v.Mailstore, Begun: v.Begun, Ended: v.Ended, Settled: v.Settled}
	for _, f := range v.Folders {
		line.Folders = append(line.Folders, f)
	}
	for _, row := range v.Rows {
		line.Rows = append(line.Rows, row)
	}
	return line
}

// History is what the checkers judge, and what is wrong already.
func (r *Record) History() (h *check.History, problems []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h = check.NewHistory()
	resolved := map[account.ID]*resolver{}
	for _, v := range r.views {
		of(resolved, v.Account).look(v)
		h.Saw(v)
	}
	for _, o := range r.ops {
		of(resolved, o.Account).answered(o)
		if o.Delivery > 0 {
			h.Body(Blob(o.Delivery), o.Delivery)
		}
		for _, m := range append(o.Made[:len(o.Made):len(o.Made)], o.Copies...) {
			h.Body(m.Blob, mailOf(m.Blob))
		}
	}
	problems = append(problems, r.problems...)
	for _, o := range r.ops {
		solved := *o
		if why := of(resolved, o.Account).solve(&solved); why != "" {
			problems = append(problems, why)
		}
		h.Add(&solved)
	}
	return h, problems
}

// resolver finds out what answers of one account did not tell.
type resolver struct {
	folders map[string]mailbox.ItemID // that were ever seen under a name
	seen    map[int][]check.Place     // of each mail in INBOX
	placed  map[check.Place]bool      // that an answer told
	known   map[check.Place]bool      // that a view showed
	begun   map[int]time.Time         // when each mail was first tried to be delivered
	copied  map[int]bool              // mails of which there may be copies that nobody was told of
	settled bool                      // somebody looked at a mailbox that was settled
}

func of(all map[account.ID]*resolver, id account.ID) *resolver {
	if all[id] == nil {
		all[id] = &resolver{folders: map[string]mailbox.ItemID{}, seen: map[int][]check.Place{}, placed: map[check.Place]bool{},
			known: map[check.Place]bool{}, copied: map[int]bool{}, begun: map[int]time.Time{}}
	}
	return all[id]
}

func (r *resolver) look(v *check.View) {
	r.settled = r.settled || v.Settled
	var in mailbox.ItemID
	for _, f := range v.Folders {
		r.folders[f.Name] = f.ID
		if f.Name == inbox {
			in = f.ID
		}
	}
	for p, row := range v.Rows {
		if !r.known[p] {
			r.known[p] = true
			if mail := mailOf(row.Blob); mail > 0 && p.Folder == in {
				r.seen[mail] = append(r.seen[mail], p)
			}
		}
	}
}

func (r *resolver) answered(o *check.Op) {
	if at, tried := r.begun[o.Delivery]; o.Delivery > 0 && (!tried || o.Begun.Before(at)) {
		r.begun[o.Delivery] = o.Begun
	}
	for _, m := range o.Made {
		r.placed[m.Place] = true
	}
	if o.Outcome != check.Done {
		for _, m := range o.Copies {
			r.copied[mailOf(m.Blob)] = true
		}
	}
}

// solve puts into an operation what is certain. A delivery was put where alone its mail was seen and no answer explains it.
func (r *resolver) solve(o *check.Op) (problem string) {
	if o.Name != "" && o.Folder == 0 {
		o.Folder = r.folders[o.Name]
		if o.Folder == 0 && o.Outcome == check.Done && r.settled {
			return fmt.Sprintf("account %s: a folder was made, and nobody ever saw it: %s", o.Account, o)
		}
	}
	if o.Delivery == 0 || o.Outcome != check.Done || len(o.Made) > 0 || r.copied[o.Delivery] {
		return ""
	}
	var found []check.Place
	for _, p := range r.seen[o.Delivery] {
		if !r.placed[p] {
			found = append(found, p)
		}
	}
	if len(found) == 1 {
		o.Begun = r.begun[o.Delivery] // an attempt that was not answered may be the one that put it there
		o.Made = []check.Made{{Place: found[0], Blob: Blob(o.Delivery)}}
	}
	return ""
}
