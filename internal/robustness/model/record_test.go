package model_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/robustness/model"
	"mailreplica/internal/sim/check"
)

var id = account.ID{1}

func at(seconds int) time.Time { return time.Unix(int64(seconds), 0) }

func delivered(mail, begun, ended int, outcome check.Outcome) *check.Op {
	return &check.Op{Account: id, Kind: "delivers", Begun: at(begun), Ended: at(ended), Outcome: outcome, Timed: true, Delivery: mail}
}

// view is a settled INBOX whose UIDs from 1 hold the mails, 0 for none.
func view(begun int, mails ...int) *check.View {
	v := &check.View{Account: id, Begun: at(begun), Ended: at(begun), Settled: true, Rows: map[check.Place]check.Row{},
		Folders: map[mailbox.ItemID]check.Folder{1: {ID: 1, Name: "INBOX", UIDValidity: 1, UIDNext: 100}}}
	for i, mail := range mails {
		if p := (check.Place{Folder: 1, UID: mailbox.UID(i + 1)}); mail > 0 {
			v.Rows[p] = check.Row{Place: p, Blob: model.Blob(mail)}
		}
	}
	return v
}

func TestHistory(t *testing.T) {
	made := &check.Op{Account: id, Kind: "makes x", Begun: at(1), Ended: at(2), Outcome: check.Done, Timed: true, Name: "x"}
	for _, test := range []struct {
		name  string
		ops   []*check.Op
		views []*check.View
		want  string
	}{
		{"delivered", []*check.Op{delivered(1, 1, 2, check.Done)}, []*check.View{view(3, 1)}, ""},
		{"delivered, not there", []*check.Op{delivered(1, 1, 2, check.Done)}, []*check.View{view(3)}, "an acknowledged mail is missing"},
		{"delivered and seen, not there", []*check.Op{delivered(1, 1, 2, check.Done)}, []*check.View{view(3, 1), view(4)}, "an acknowledged message is missing"},
		{"repeated, there twice", []*check.Op{delivered(1, 1, 2, check.Unknown), delivered(1, 3, 4, check.Done)}, []*check.View{view(5, 1, 1)}, "once more than it may be"},
		{"never answered, there", []*check.Op{delivered(1, 1, 2, check.Unknown)}, []*check.View{view(3, 1)}, ""},
		{"UIDs in another order than answers", []*check.Op{delivered(1, 1, 2, check.Done), delivered(2, 3, 4, check.Done)}, []*check.View{view(5, 2, 1)}, "gave UID 2, and later UID 1"},
		{"put there by an attempt that was not answered", []*check.Op{delivered(1, 1, 2, check.Unknown), delivered(2, 3, 4, check.Done), delivered(1, 5, 6, check.Done)},
			[]*check.View{view(7, 1, 2)}, ""},
		{"folder of nobody", []*check.Op{made}, []*check.View{view(3)}, "nobody ever saw it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r model.Record
			for _, o := range test.ops {
				r.Add(o)
			}
			for _, v := range test.views {
				r.Saw(v)
			}
			h, problems := r.History()
			got := strings.Join(append(problems, h.Check()...), "\n")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			var text bytes.Buffer
			if err := r.Write(&text); err != nil {
				t.Fatal(err)
			}
			if got, want := strings.Count(text.String(), "\n"), len(test.ops)+len(test.views); got != want {
				t.Errorf("%d lines were written, want %d", got, want)
			}
		})
	}
}
