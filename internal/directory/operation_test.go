package directory_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

func items(count int) []directory.NewItem {
	all := make([]directory.NewItem, count)
	for i := range all {
		all[i] = directory.NewItem{Account: fmt.Sprintf("u%d@x", i), Parameter: fmt.Sprint(i)}
	}
	return all
}

func silent(directory.Operation) directory.Notification {
	return directory.Notification{Server: mbox1, Type: directory.Information, Subject: "done"}
}

func TestOperationProgress(t *testing.T) { onEngines(t, testOperationProgress) }

func testOperationProgress(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	ctx := t.Context()
	op := must1(d.CreateOperation(ctx, directory.Operation{Type: "promoteAccounts", Host: mbox1}, items(5000)))(t)
	if op.State != directory.Queued || op.Total != 5000 || string(op.Parameters) != "{}" {
		t.Errorf("made %+v", op)
	}
	results := []directory.ItemResult{{Position: 0, State: directory.ItemSuccessful},
		{Position: 4999, State: directory.ItemFailed, Message: "why"}}
	for range 2 { // a repeat counts nothing
		got := must1(d.RecordProgress(ctx, op.ID, directory.Running, results))(t)
		if got.State != directory.Running || got.Done != 2 || got.Failed != 1 {
			t.Errorf("got %+v", got)
		}
	}
	failed := must1(d.OperationItems(ctx, op.ID, directory.ItemFilter{State: directory.ItemFailed}))(t)
	if len(failed) != 1 || failed[0].Account != "u4999@x" || failed[0].Parameter != "4999" || failed[0].Message != "why" {
		t.Errorf("failed items %+v", failed)
	}
	page := must1(d.OperationItems(ctx, op.ID, directory.ItemFilter{From: 4998}))(t)
	if len(page) != 2 || page[0].Position != 4998 {
		t.Errorf("page %+v", page)
	}
	stop := must1(d.RequestStop(ctx, op.ID))(t)
	if !stop.StopRequested {
		t.Errorf("got %+v", stop)
	}
	unfinished := must1(d.Operations(ctx, directory.OperationFilter{Host: mbox1, Unfinished: true}))(t)
	if len(unfinished) != 1 {
		t.Errorf("unfinished %+v", unfinished)
	}
	if other := must1(d.Operations(ctx, directory.OperationFilter{Host: mbox2}))(t); len(other) != 0 {
		t.Errorf("on another mailstore: %+v", other)
	}
}

func TestFinishOperationNotifiesOnce(t *testing.T) { onEngines(t, testFinishOperationNotifiesOnce) }

func testFinishOperationNotifiesOnce(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	ctx := t.Context()
	op := must1(d.CreateOperation(ctx, directory.Operation{Type: "promoteAccounts", Host: mbox1}, nil))(t)
	_, told, err := d.FinishOperation(ctx, op.ID, directory.Successful, "", silent)
	if err != nil || told == nil || told.Operation != op.ID || told.ID == "" {
		t.Errorf("told %+v, %v", told, err)
	}
	done, again, err := d.FinishOperation(ctx, op.ID, directory.Failed, "late", silent)
	if err != nil || again != nil || done.State != directory.Successful {
		t.Errorf("again %+v, %+v, %v", done, again, err)
	}
	all := must1(d.Notifications(ctx, 0))(t)
	if len(all) != 1 || all[0] != *told {
		t.Errorf("notifications %+v, want %+v", all, *told)
	}
	late := must1(d.RecordProgress(ctx, op.ID, directory.Running, nil))(t)
	if late.State != directory.Successful {
		t.Errorf("late progress made it %+v", late)
	}
	_, err = d.RequestStop(ctx, op.ID)
	wantKind(t, err, fault.Invalid)
	_, err = d.Operation(ctx, "none")
	wantKind(t, err, fault.NotFound)
	_, err = d.Notification(ctx, "none")
	wantKind(t, err, fault.NotFound)
}

func TestNotificationIsClipped(t *testing.T) { onEngines(t, testNotificationIsClipped) }

func testNotificationIsClipped(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	n := must1(d.AddNotification(t.Context(), directory.Notification{Server: mbox1, Type: directory.Critical,
		Subject: strings.Repeat("é", 1000), Text: "text"}))(t)
	if len(n.Subject) > directory.NotificationSubjectBytesMax || !utf8.ValidString(n.Subject) ||
		!strings.HasSuffix(n.Subject, "é…") {
		t.Errorf("subject of %d bytes %q", len(n.Subject), n.Subject)
	}
	if got := must1(d.Notification(t.Context(), n.ID))(t); got != n {
		t.Errorf("got %+v, want %+v", got, n)
	}
}

func TestPrune(t *testing.T) { onEngines(t, testPrune) }

func testPrune(t *testing.T, r rig) {
	clock := newClock()
	d := r.newDirectory(t, directory.Options{Now: clock.Now})
	ctx := t.Context()
	old := must1(d.CreateOperation(ctx, directory.Operation{Type: "old", Host: mbox1}, items(20_000)))(t)
	_, _, err := d.FinishOperation(ctx, old.ID, directory.Successful, "", silent)
	must(t, err)
	unfinished := must1(d.CreateOperation(ctx, directory.Operation{Type: "unfinished", Host: mbox1}, nil))(t)
	must(t, d.SetConfig(ctx, "c", "1"))
	must(t, d.UnsetConfig(ctx, "c"))
	before := must1(d.Version(ctx))(t)
	must(t, d.Prune(ctx))
	must1(d.Operation(ctx, old.ID))(t)

	clock.advance(directory.NotificationsKeptFor + time.Hour)
	fresh := must1(d.CreateOperation(ctx, directory.Operation{Type: "fresh", Host: mbox1}, nil))(t)
	_, _, err = d.FinishOperation(ctx, fresh.ID, directory.Successful, "", silent)
	must(t, err)
	must(t, d.Prune(ctx))
	_, err = d.Operation(ctx, old.ID)
	wantKind(t, err, fault.NotFound)
	if items := must1(d.OperationItems(ctx, old.ID, directory.ItemFilter{}))(t); len(items) != 0 {
		t.Errorf("%d items are left", len(items))
	}
	must1(d.Operation(ctx, fresh.ID))(t)
	must1(d.Operation(ctx, unfinished.ID))(t)
	if all := must1(d.Notifications(ctx, 0))(t); len(all) != 1 || all[0].Operation != fresh.ID {
		t.Errorf("notifications %+v", all)
	}
	// Whoever has not read the removal that was forgotten gets a full copy; whoever has goes on.
	if c := must1(d.Since(ctx, before-1))(t); !c.Full {
		t.Errorf("since %d: not full", before-1)
	}
	if c := must1(d.Since(ctx, before))(t); c.Full || !c.Empty() {
		t.Errorf("since %d: %+v", before, c)
	}
}
