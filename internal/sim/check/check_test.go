package check_test

import (
	"strings"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/sim/check"
)

var id = account.ID{1}

func at(seconds int) time.Time { return time.Unix(int64(seconds), 0) }

// deliver is a delivery of a mail, asked for and answered at the given seconds.
func deliver(mail int, uid mailbox.UID, sequence mailbox.Sequence, store string, begun, ended int) *check.Op {
	return &check.Op{
		Account: id, Kind: "delivers", Mailstore: store, Begun: at(begun), Ended: at(ended), Outcome: check.Done,
		Sequence: sequence, Epoch: 1, Delivery: mail, Made: []check.Made{{Place: place(uid), Blob: blob(mail)}},
	}
}

func place(uid mailbox.UID) check.Place { return check.Place{Folder: 1, UID: uid} }

func blob(mail int) string { return strings.Repeat("b", mail) }

// view is INBOX with mails, by UID from 1; 0 is none.
func view(sequence mailbox.Sequence, store string, begun int, mails ...int) *check.View {
	v := &check.View{
		Account: id, Mailstore: store, Begun: at(begun), Ended: at(begun), Served: true, Sequence: sequence, Rows: map[check.Place]check.Row{},
		Folders: map[mailbox.ItemID]check.Folder{1: {ID: 1, Name: "INBOX", UIDValidity: 1, UIDNext: 100}},
	}
	for i, mail := range mails {
		if p := place(mailbox.UID(i + 1)); mail > 0 {
			v.Rows[p] = check.Row{Place: p, Blob: blob(mail)}
		}
	}
	return v
}

func unknown(o *check.Op) *check.Op {
	o.Outcome, o.Sequence, o.Epoch, o.Made = check.Unknown, 0, 0, nil
	return o
}

// timed is an operation whose sequence nobody was told.
func timed(o *check.Op) *check.Op {
	other := *o
	other.Sequence, other.Epoch, other.Mailstore, other.Timed = 0, 0, "", true
	return &other
}

// unplaced is a delivery over LMTP, whose answer says nothing of where the mail is.
func unplaced(mail int) *check.Op {
	o := timed(deliver(mail, 1, 0, "", 1, 2))
	o.Made = nil
	return o
}

// by is a change whose answer told a MODSEQ.
func by(o *check.Op, sequence mailbox.Sequence) *check.Op {
	o = timed(o)
	o.By = sequence
	return o
}

// inbox is what an IMAP client has of a view.
func inbox(v *check.View) *check.View {
	v.Only, v.Served = 1, false
	for p, r := range v.Rows {
		r.Blob = ""
		v.Rows[p] = r
	}
	return v
}

func settled(v *check.View) *check.View {
	v.Settled = true
	return v
}

func change(v *check.View, change func(*check.View)) *check.View {
	change(v)
	return v
}

func TestCheck(t *testing.T) {
	expunge := &check.Op{Account: id, Kind: "expunges", Mailstore: "a", Begun: at(3), Ended: at(4), Outcome: check.Done, Sequence: 3, Takes: []check.Place{place(1)}}
	mark := &check.Op{Account: id, Kind: "marks", Mailstore: "a", Begun: at(3), Ended: at(4), Outcome: check.Done, Sequence: 3, Marks: []check.Place{place(1)}, Keyword: "k1"}
	rename := &check.Op{Account: id, Kind: "renames", Mailstore: "a", Begun: at(3), Ended: at(4), Outcome: check.Done, Sequence: 3, Folder: 7, Name: "new"}
	first := deliver(1, 1, 2, "a", 1, 2)
	for _, test := range []struct {
		name  string
		ops   []*check.Op
		views []*check.View
		taken []check.Taken
		want  string // empty: nothing is wrong
	}{
		{"all is well", []*check.Op{first, deliver(2, 2, 3, "a", 3, 4)}, []*check.View{view(3, "a", 5, 1, 2), view(2, "b", 5, 1)}, nil, ""},
		{"missing", []*check.Op{first}, []*check.View{view(2, "a", 5)}, nil, "acknowledged message is missing"},
		{"not there yet", []*check.Op{first}, []*check.View{view(1, "b", 5)}, nil, ""},
		{"expunged", []*check.Op{first, expunge}, []*check.View{view(3, "a", 5)}, nil, ""},
		{"expunged and there", []*check.Op{first, expunge}, []*check.View{view(3, "a", 5, 1)}, nil, "removal was acknowledged"},
		{"perhaps expunged", []*check.Op{first, unknown(&check.Op{Account: id, Begun: at(3), Ended: at(4), Takes: []check.Place{place(1)}})}, []*check.View{view(3, "a", 5)}, nil, ""},
		{"twice", []*check.Op{first}, []*check.View{view(3, "a", 5, 1, 1)}, nil, "once more than it may be"},
		{"not answered, and there", []*check.Op{unknown(deliver(1, 1, 2, "a", 1, 2))}, []*check.View{view(2, "a", 5, 1)}, nil, ""},
		{"not answered twice, and there twice", []*check.Op{unknown(deliver(1, 1, 2, "a", 1, 2)), unknown(deliver(1, 1, 2, "b", 3, 4))}, []*check.View{view(3, "a", 5, 1, 1)}, nil, "once more than it may be"},
		{"nobody sent it", nil, []*check.View{view(2, "a", 5, 9)}, nil, "once more than it may be"},
		{"keyword", []*check.Op{first, mark}, []*check.View{view(3, "a", 5, 1)}, nil, "keyword k1 is missing"},
		{"keyword of nobody", []*check.Op{first}, []*check.View{change(view(2, "a", 5, 1), func(v *check.View) {
			v.Rows[place(1)] = check.Row{Place: place(1), Blob: blob(1), Keywords: []string{"k9"}}
		})}, nil, "keyword k9 that nobody gave"},
		{"two mailstores, one sequence", []*check.Op{first, deliver(2, 1, 2, "b", 1, 2)}, nil, nil, "two mailstores acknowledged sequence 2"},
		{"two mailstores, one epoch", []*check.Op{first, deliver(2, 2, 3, "b", 3, 4)}, nil, nil, "two mailstores acknowledged in epoch 1"},
		{"in the past", []*check.Op{deliver(1, 1, 5, "a", 1, 2), deliver(2, 2, 4, "a", 3, 4)}, nil, nil, "in the past"},
		{"UID of two mails", []*check.Op{first, unknown(deliver(2, 1, 2, "b", 1, 2))}, []*check.View{view(2, "b", 5, 2)}, nil, "UID 1 of folder 1 was mail"},
		{"UIDs fall", []*check.Op{deliver(1, 2, 2, "a", 1, 2), deliver(2, 1, 3, "a", 3, 4)}, nil, nil, "gave UID 2 at sequence 2 and UID 1"},
		{"UIDVALIDITY", []*check.Op{first}, []*check.View{view(2, "a", 5, 1), change(view(2, "b", 5, 1), func(v *check.View) {
			v.Folders[1] = check.Folder{ID: 1, Name: "INBOX", UIDValidity: 2, UIDNext: 100}
		})}, nil, "UIDVALIDITY"},
		{"digests", []*check.Op{first}, []*check.View{view(2, "a", 5, 1), change(view(2, "b", 5, 1), func(v *check.View) { v.Digest = mailbox.EmptyHeader().Digest })}, nil, "two mailboxes at sequence 2"},
		{"own past", []*check.Op{first}, []*check.View{view(1, "a", 5)}, nil, "a view of the past"},
		{"past of a promotion", []*check.Op{first}, []*check.View{view(1, "b", 5)}, []check.Taken{{Account: id, Mailstore: "b", At: at(3)}}, "a view of the past"},
		{"past of a start", []*check.Op{first}, []*check.View{change(view(1, "b", 5), func(v *check.View) { v.Started = at(3) })}, nil, "a view of the past"},
		{"folder missing", []*check.Op{first, rename}, []*check.View{view(3, "a", 5, 1)}, nil, "a folder is missing"},
		{"folder's name", []*check.Op{first, rename}, []*check.View{change(view(3, "a", 5, 1), func(v *check.View) {
			v.Folders[7] = check.Folder{ID: 7, Name: "old", UIDValidity: 2, UIDNext: 1}
		})}, nil, "is called old"},
		{"UIDs fall in time", []*check.Op{timed(deliver(1, 2, 0, "", 1, 2)), timed(deliver(2, 1, 0, "", 3, 4))}, nil, nil, "folder 1 gave UID 2, and later UID 1"},
		{"UIDs of one time", []*check.Op{timed(deliver(1, 2, 0, "", 1, 4)), timed(deliver(2, 1, 0, "", 3, 4))}, nil, nil, ""},
		{"mail of unknown place", []*check.Op{unplaced(1)}, []*check.View{settled(view(0, "", 5, 1))}, nil, ""},
		{"mail of unknown place, twice", []*check.Op{unplaced(1)}, []*check.View{settled(view(0, "", 5, 1, 1))}, nil, "once more than it may be"},
		{"mail of unknown place, missing", []*check.Op{unplaced(1)}, []*check.View{settled(view(0, "", 5))}, nil, "an acknowledged mail is missing"},
		{"mail of unknown place, seen and expunged", []*check.Op{unplaced(1), timed(expunge)}, []*check.View{view(0, "", 2, 1), settled(view(0, "", 5))}, nil, ""},
		{"mail of unknown place, not settled", []*check.Op{unplaced(1)}, []*check.View{view(0, "", 5)}, nil, ""},
		{"timed, expunged and there", []*check.Op{unplaced(1), timed(expunge)}, []*check.View{settled(view(0, "", 5, 1))}, nil, "removal was acknowledged"},
		{"timed, answered after the view began", []*check.Op{unplaced(1), timed(expunge)}, []*check.View{settled(view(0, "", 4, 1))}, nil, ""},
		{"a keyword that a MODSEQ told", []*check.Op{first, by(mark, 3)}, []*check.View{view(3, "a", 5, 1)}, nil, "keyword k1 is missing"},
		{"a keyword that a later MODSEQ told", []*check.Op{first, by(mark, 4)}, []*check.View{view(3, "a", 5, 1)}, nil, ""},
		{"resynchronised without a message", []*check.Op{first}, []*check.View{inbox(view(2, "", 5))}, nil, "acknowledged message is missing"},
		{"resynchronised before it", []*check.Op{first}, []*check.View{inbox(view(1, "", 5))}, nil, ""},
		{"resynchronised with what was expunged", []*check.Op{first, expunge}, []*check.View{inbox(view(3, "", 5, 1))}, nil, "removal was acknowledged"},
		{"resynchronised, and another folder has mail", []*check.Op{first, {
			Account: id, Kind: "copies", Mailstore: "a", Begun: at(3), Ended: at(4), Outcome: check.Done, Sequence: 3, Made: []check.Made{{Place: check.Place{Folder: 7, UID: 1}, Blob: blob(1)}},
		}}, []*check.View{inbox(view(3, "", 5, 1))}, nil, ""},
		{"timed, folder's name", []*check.Op{timed(rename)}, []*check.View{settled(change(view(0, "", 5), func(v *check.View) {
			v.Folders[7] = check.Folder{ID: 7, Name: "old", UIDValidity: 2, UIDNext: 1}
		}))}, nil, "is called old"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := check.NewHistory()
			for mail := range 5 {
				h.Body(blob(mail), mail)
			}
			h.Body(blob(9), 9)
			h.Add(&check.Op{Account: id, Kind: "looks", Begun: at(0), Ended: at(0), Outcome: check.Done})
			for _, o := range test.ops {
				h.Add(o)
			}
			for _, v := range test.views {
				h.Saw(v)
			}
			for _, taken := range test.taken {
				h.Took(taken)
			}
			got := strings.Join(h.Check(), "\n")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
