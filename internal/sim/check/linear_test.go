package check_test

import (
	"strings"
	"testing"

	"mailreplica/internal/mailbox"
	"mailreplica/internal/sim/check"
)

// history puts operations and views of one account together.
func history(ops []*check.Op, views []*check.View, taken ...check.Taken) *check.History {
	h := check.NewHistory()
	for mail := range 60 {
		h.Body(blob(mail), mail)
	}
	h.Add(&check.Op{Account: id, Kind: "looks", Begun: at(0), Ended: at(0), Outcome: check.Refused})
	for _, o := range ops {
		h.Add(o)
	}
	for _, v := range views {
		if v.Started.IsZero() {
			v.Started = at(0)
		}
		h.Saw(v)
	}
	for _, t := range taken {
		h.Took(t)
	}
	return h
}

func TestLinearize(t *testing.T) {
	first := deliver(1, 1, 2, "a", 1, 2)
	second := deliver(2, 2, 3, "a", 3, 4)
	op := func(kind string, sequence mailbox.Sequence, begun int, change func(*check.Op)) *check.Op {
		o := &check.Op{Account: id, Kind: kind, Mailstore: "a", Started: at(0), Begun: at(begun), Ended: at(begun + 1), Outcome: check.Done, Sequence: sequence}
		change(o)
		return o
	}
	expunge := op("expunges", 3, 3, func(o *check.Op) { o.Takes = []check.Place{place(1)} })
	mark := op("marks", 3, 3, func(o *check.Op) { o.Marks, o.Keyword = []check.Place{place(1)}, "k1" })
	copies := op("copies", 4, 5, func(o *check.Op) {
		o.Made = []check.Made{{Place: place(2), Blob: blob(1), From: place(1)}}
	})
	repeat := op("delivers", 0, 5, func(o *check.Op) { o.Delivery = 3 })
	marked := change(view(3, "a", 6, 1), func(v *check.View) {
		v.Rows[place(1)] = check.Row{Place: place(1), Blob: blob(1), Keywords: []string{"k1"}}
	})
	makes := op("makes", 2, 3, func(o *check.Op) { o.Folder, o.Name, o.Makes = 6, "n", true })
	intoFolder := unknown(op("copies", 0, 5, func(o *check.Op) { o.Copies = []check.Made{{Blob: blob(1)}} }))
	copied := change(view(3, "a", 8, 1), func(v *check.View) {
		p := check.Place{Folder: 6, UID: 1}
		v.Rows[p], v.Folders[6] = check.Row{Place: p, Blob: blob(1)}, check.Folder{Name: "n"}
	})
	for _, test := range []struct {
		name  string
		ops   []*check.Op
		views []*check.View
		taken []check.Taken
		want  string // empty: an order is there
	}{
		{"in order", []*check.Op{first, second}, []*check.View{view(3, "a", 6, 1, 2), view(2, "a", 2, 1)}, nil, ""},
		{"an acknowledged mail is not there", []*check.Op{first, second}, []*check.View{view(3, "a", 6, 1)}, nil, "no order explains"},
		{"the later one is there and the earlier one is not", []*check.Op{first, second}, []*check.View{view(3, "a", 6, 0, 2)}, nil, "no order explains"},
		{"a past of before its own answer", []*check.Op{first}, []*check.View{view(1, "a", 5)}, nil, "no order explains"},
		{"a past that another mailstore could not know was over", []*check.Op{first}, []*check.View{view(1, "b", 5)}, nil, ""},
		{"a past of before a promotion", []*check.Op{first}, []*check.View{view(1, "b", 5)}, []check.Taken{{Account: id, Mailstore: "b", At: at(3)}}, "no order explains"},
		{"sequences against time", []*check.Op{deliver(1, 1, 5, "a", 1, 2), deliver(2, 2, 4, "a", 3, 4)}, nil, nil, "sequence 4 after 5"},
		{"UIDs against sequences", []*check.Op{deliver(1, 2, 2, "a", 1, 2), deliver(2, 1, 3, "a", 1, 2)}, nil, nil, "UID 1 of folder 1 is given"},
		{"delivered twice", []*check.Op{first, deliver(1, 2, 3, "b", 3, 4)}, nil, nil, "a second time"},
		{"a repeat of nothing", []*check.Op{first, repeat}, nil, nil, "called a repeat"},
		{"a repeat of what was not answered", []*check.Op{unknown(deliver(3, 1, 2, "a", 1, 2)), repeat}, nil, nil, ""},
		{"without an answer, and there", []*check.Op{unknown(deliver(1, 1, 2, "a", 1, 2))}, []*check.View{view(2, "a", 5, 1), view(2, "a", 6, 1)}, nil, ""},
		{"without an answer, there and then not", []*check.Op{unknown(deliver(1, 1, 2, "a", 1, 2))}, []*check.View{view(2, "a", 5, 1), view(3, "a", 6)}, nil, "no order explains"},
		{"without an answer, not there and then there", []*check.Op{unknown(deliver(1, 1, 2, "a", 1, 2))}, []*check.View{view(1, "a", 5), view(2, "a", 6, 1)}, nil, ""},
		{"of unknown place, and there", []*check.Op{first, unplaced(2)}, []*check.View{view(3, "a", 6, 1, 2)}, nil, ""},
		{"of unknown place, there and then not", []*check.Op{first, unplaced(2)}, []*check.View{view(3, "a", 5, 1, 2), view(4, "a", 6, 1)}, nil, "no order explains"},
		{"timed and expunged", []*check.Op{first, timed(expunge)}, []*check.View{view(2, "a", 5, 1), view(3, "a", 6)}, nil, ""},
		{"expunged", []*check.Op{first, expunge}, []*check.View{view(3, "a", 6)}, nil, ""},
		{"expunged, and copied later", []*check.Op{first, expunge, copies}, nil, nil, "is not there to be copied"},
		{"expunged without an answer, and copied later", []*check.Op{first, unknown(op("expunges", 0, 3, func(o *check.Op) { o.Takes = []check.Place{place(1)} })), copies}, []*check.View{view(4, "a", 9, 0, 1)}, nil, ""},
		{"copied without an answer, into a folder that was made later than the mail", []*check.Op{unknown(deliver(1, 1, 1, "a", 1, 2)), makes, intoFolder}, []*check.View{copied}, nil, ""},
		{"a keyword", []*check.Op{first, mark}, []*check.View{marked}, nil, ""},
		{"a keyword is not there", []*check.Op{first, mark}, []*check.View{view(3, "a", 6, 1)}, nil, "no order explains"},
		{"a keyword on a copy", []*check.Op{first, mark, copies}, []*check.View{view(4, "a", 9, 1, 1)}, nil, "keywords"},
		{"a folder that was never made is renamed", []*check.Op{op("renames", 2, 1, func(o *check.Op) { o.Folder, o.Name = 9, "n" })}, nil, nil, "not there to be renamed"},
		{"expunged without an answer, and told to be gone", []*check.Op{first, timed(expunge), op("marks", 0, 5, func(o *check.Op) { o.Marks = []check.Place{place(1)} })}, nil, nil, ""},
		{"expunged without an answer, and moved with another", []*check.Op{first, second, timed(expunge), op("moves", 4, 6, func(o *check.Op) {
			o.Takes = []check.Place{place(1), place(2)}
			o.Took([]check.Place{place(2)})
		})}, nil, nil, ""},
		{"called missing, and it is there", []*check.Op{first, second, op("moves", 4, 6, func(o *check.Op) {
			o.Takes = []check.Place{place(1), place(2)}
			o.Took([]check.Place{place(2)})
		})}, nil, nil, "was not removed"},
		{"nothing to expunge, and it is there", []*check.Op{first, op("expunges", 0, 3, func(o *check.Op) { o.Takes = []check.Place{place(1)} })}, nil, nil, "was not removed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			views := append(test.views, view(0, "c", 0))
			got := history(test.ops, views, test.taken...).Linearize()
			if len(got) != 1 || got[0].Gave {
				t.Fatalf("got %+v", got)
			}
			if test.want == "" && got[0].Problem != "" || !strings.Contains(got[0].Problem, test.want) {
				t.Errorf("got %q, want %q", got[0].Problem, test.want)
			}
		})
	}
}

// A search that does not end soon is given up, and is no problem.
func TestLinearizeGivesUp(t *testing.T) {
	var ops []*check.Op
	for mail := 1; mail < 30; mail++ {
		o := deliver(mail, mailbox.UID(mail), 0, "a", 1, 50)
		o.Outcome, o.Made = check.Unknown, nil
		ops = append(ops, o)
	}
	mails := make([]int, 29)
	for i := range mails {
		mails[i] = i + 1
	}
	impossible := change(view(9, "a", 60, mails...), func(v *check.View) {
		v.Rows[place(1)] = check.Row{Place: place(1), Blob: blob(40)}
	})
	got := history(ops, []*check.View{view(0, "c", 0), impossible}).Linearize()
	if len(got) != 1 || !got[0].Gave || got[0].Problem != "" {
		t.Errorf("got %+v", got)
	}
}
