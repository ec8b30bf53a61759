package imap

import (
	"math"
	"slices"

	"mailreplica/internal/mailbox"
)

const uidMax mailbox.UID = math.MaxUint32

// view is what a session knows of its selected folder: which message has which sequence number, and up to which sequence
// of the mailbox it has been told. It changes only as responses are written, so that numbers mean the same to both ends
// (RFC 3501 section 7.4.1).
type view struct {
	folder      mailbox.ItemID
	uidValidity uint32
	uidNext     mailbox.UID
	readOnly    bool
	uids        numbering
	gone        []mailbox.UID    // ascending: expunged, but the client could not be told yet; still in uids
	seen        mailbox.Sequence // the client knows of everything up to here, gone aside
	recent      []uidRange       // ascending: messages that are \Recent to this session
	heldAt      mailbox.Sequence // what seen was when the first of gone was met
	keywords    []string         // that FLAGS listed, sorted without regard to case
	saved       []mailbox.UID    // SEARCHRES: the result "$" stands for, ascending (RFC 5182)
}

type uidRange struct{ from, to mailbox.UID } // inclusive

// span is a run of messages that are neighbours in the view: indexes from ≤ i < to.
type span struct{ from, to int }

// index finds a message that the client knows.
func (v *view) index(uid mailbox.UID) (int, bool) { return v.uids.index(uid) }

func (v *view) isRecent(uid mailbox.UID) bool {
	for _, r := range v.recent {
		if r.from <= uid && uid <= r.to {
			return true
		}
	}
	return false
}

// countRecent counts messages that are \Recent.
func (v *view) countRecent() int {
	n := 0
	for _, r := range v.recent {
		from, _ := v.index(r.from)
		to, found := v.index(r.to)
		if found {
			to++
		}
		n += to - from
	}
	return n
}

// addRecent takes over what was claimed: the messages from first on that the view has.
func (v *view) addRecent(first mailbox.UID) {
	last := v.uids.last()
	if last == 0 || last < first {
		return
	}
	if n := len(v.recent); n > 0 {
		if v.recent[n-1].to >= last {
			return
		}
		if first <= v.recent[n-1].to+1 {
			v.recent[n-1].to = last
			return
		}
	}
	v.recent = append(v.recent, uidRange{first, last})
}

// remove takes the messages that the client has just been told are gone out of the view.
func (v *view) remove(gone []mailbox.UID) {
	if len(gone) == 0 {
		return
	}
	v.uids.remove(gone)
	v.saved = slices.DeleteFunc(v.saved, containedIn(gone))
	v.gone = nil
}

// containedIn asks an ascending slice for ascending UIDs, in linear time over all.
func containedIn(sorted []mailbox.UID) func(mailbox.UID) bool {
	return func(uid mailbox.UID) bool {
		for len(sorted) > 0 && sorted[0] < uid {
			sorted = sorted[1:]
		}
		return len(sorted) > 0 && sorted[0] == uid
	}
}

// news is what happened to a folder since its view was last told.
type news struct {
	deleted  bool              // the folder is gone, or its UIDs mean other messages now
	expunged []mailbox.UID     // ascending, not in view.gone yet
	added    []mailbox.UID     // ascending
	changed  []mailbox.Message // known messages whose flags may be others
	more     bool              // changed is not all: ask again
	upTo     mailbox.Sequence
	uidNext  mailbox.UID
}

// changedMax bounds the messages of one news; more come in the next.
const changedMax = 16 << 10

// since finds the news; of changed messages those with UIDs greater than after that were not told. Where tombstones have been pruned
// since view.seen the UIDs are compared one by one.
func (v *view) since(r mailbox.Reader, after mailbox.UID, told func(mailbox.Message) bool) (news, error) {
	header, err := r.Header()
	if err != nil {
		return news{}, err
	}
	n := news{upTo: header.Sequence, uidNext: v.uidNext}
	if header.Sequence == v.seen {
		return n, nil
	}
	folder, found, err := r.Folder(v.folder)
	if err != nil {
		return n, err
	}
	if !found || folder.UIDValidity != v.uidValidity {
		n.deleted = true
		return n, nil
	}
	n.uidNext = folder.UIDNext
	if folder.HighestSeq <= v.seen && folder.PrunedUpTo <= v.seen {
		return n, nil
	}
	if err := v.readNews(r, &n, after, told); err != nil {
		return n, err
	}
	if folder.PrunedUpTo > v.seen || v.uids.len()-len(v.gone)-len(n.expunged)+len(n.added) != int(folder.Messages) {
		err = v.compare(r, &n)
	}
	return n, err
}

func (v *view) readNews(r mailbox.Reader, n *news, after mailbox.UID, told func(mailbox.Message) bool) error {
	err := r.Tombstones(v.folder, v.seen, func(t mailbox.Tombstone) bool {
		if _, known := v.index(t.UID); known && !mailbox.ContainsUID(v.gone, t.UID) {
			n.expunged = append(n.expunged, t.UID)
		}
		return true
	})
	if err != nil {
		return err
	}
	return r.ChangedSince(v.folder, v.seen, func(m mailbox.Message) bool {
		if _, known := v.index(m.UID); !known {
			n.added = append(n.added, m.UID)
			return true
		}
		if m.UID <= after || told(m) {
			return true
		}
		if len(n.changed) < changedMax {
			n.changed = append(n.changed, m)
		} else {
			n.more = true
		}
		return true
	})
}

// compare finds added and expunged messages without tombstones.
func (v *view) compare(r mailbox.Reader, n *news) error {
	n.expunged, n.added = nil, nil
	next := 0 // of the view, not compared yet
	err := r.Messages(v.folder, 1, uidMax, func(m mailbox.Message) bool {
		at, known := v.uids.index(m.UID)
		n.expunged = append(n.expunged, v.uids.slice(next, at)...)
		next = at
		if known {
			next++
		} else {
			n.added = append(n.added, m.UID)
		}
		return true
	})
	if err != nil {
		return err
	}
	n.expunged = mailbox.SubtractUIDs(append(n.expunged, v.uids.slice(next, v.uids.len())...), v.gone)
	return nil
}
