package imap

import (
	"cmp"
	"slices"
	"sort"

	"mailreplica/internal/mailbox"
)

// numbering says which message has which sequence number: the UID at index i has number i+1. UIDs mostly follow one another, so it
// keeps runs of them, and a session that idles in a folder of a million messages holds a few bytes.
type numbering struct {
	runs []uidRun // ascending
	n    int
}

// uidRun is messages with UIDs one after the other.
type uidRun struct {
	first mailbox.UID
	index uint32 // of the first
}

func (u *numbering) len() int { return u.n }

// end is the index behind a run.
func (u *numbering) end(run int) int {
	if run+1 < len(u.runs) {
		return int(u.runs[run+1].index)
	}
	return u.n
}

// at is the UID of the message at an index that is there.
func (u *numbering) at(i int) mailbox.UID {
	run := sort.Search(len(u.runs), func(k int) bool { return int(u.runs[k].index) > i }) - 1
	return u.runs[run].first + mailbox.UID(i) - mailbox.UID(u.runs[run].index)
}

// last is the largest UID, 0 if there is none.
func (u *numbering) last() mailbox.UID {
	if u.n == 0 {
		return 0
	}
	return u.at(u.n - 1)
}

// index finds a UID: where it is, or else where the next greater one is.
func (u *numbering) index(uid mailbox.UID) (int, bool) {
	run, found := slices.BinarySearchFunc(u.runs, uid, func(r uidRun, uid mailbox.UID) int { return cmp.Compare(r.first, uid) })
	if found {
		return int(u.runs[run].index), true
	}
	if run == 0 {
		return 0, false
	}
	run--
	at, end := int(u.runs[run].index)+int(uid-u.runs[run].first), u.end(run)
	return min(at, end), at < end
}

func (u *numbering) has(uid mailbox.UID) bool {
	_, known := u.index(uid)
	return known
}

// add puts a UID behind all others, than which it is greater.
func (u *numbering) add(uid mailbox.UID) { u.addRun(uid, 1) }

func (u *numbering) addRun(first mailbox.UID, n int) {
	if n == 0 {
		return
	}
	if u.n == 0 || u.last()+1 != first {
		u.runs = append(u.runs, uidRun{first, uint32(u.n)})
	}
	u.n += n
}

// remove takes out ascending UIDs, which need not all be there.
func (u *numbering) remove(gone []mailbox.UID) {
	var left numbering
	for run := range u.runs {
		first, n := u.runs[run].first, u.end(run)-int(u.runs[run].index)
		for n > 0 && len(gone) > 0 {
			if gone[0] < first {
				gone = gone[1:]
				continue
			}
			before := int(gone[0] - first)
			if before >= n {
				break
			}
			left.addRun(first, before)
			first, n = gone[0]+1, n-before-1
		}
		left.addRun(first, n)
	}
	left.runs = slices.Clone(left.runs) // without room to grow
	*u = left
}

// slice lists the UIDs with from ≤ index < to.
func (u *numbering) slice(from, to int) []mailbox.UID {
	uids := make([]mailbox.UID, 0, max(0, to-from))
	for run := range u.runs {
		start, end := int(u.runs[run].index), u.end(run)
		for i := max(start, from); i < min(end, to); i++ {
			uids = append(uids, u.runs[run].first+mailbox.UID(i-start))
		}
	}
	return uids
}
