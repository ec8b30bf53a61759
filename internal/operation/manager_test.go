package operation_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/operation"
)

const host = "mbox1.example.com"

func newDirectory(t testing.TB) (*directory.Directory, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shared", "directory.db")
	d, err := directory.Create(t.Context(), directory.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, path
}

// rig is a mailstore's manager that runs, until end.
type rig struct {
	*operation.Manager
	told chan operation.Notification
	end  func()
}

func run(t testing.TB, d *directory.Directory, runners map[string]operation.Runner) *rig {
	t.Helper()
	r := &rig{told: make(chan operation.Notification, 16)}
	r.Manager = operation.NewManager(operation.ManagerConfig{Directory: d, Host: host, Runners: runners,
		StoreEvery: 5 * time.Millisecond, RetryEvery: 5 * time.Millisecond,
		Name:     func(item string) string { return "<" + item + ">" },
		Notified: func(n operation.Notification) { r.told <- n }})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	started := make(chan struct{})
	go func() { defer close(done); close(started); r.Run(ctx) }()
	<-started
	r.end = func() { cancel(); <-done }
	t.Cleanup(r.end)
	return r
}

func accounts(count int) []string {
	all := make([]string, count)
	for i := range all {
		all[i] = fmt.Sprintf("u%d@x", i)
	}
	return all
}

func items(count int) []directory.NewItem {
	all := make([]directory.NewItem, count)
	for i, name := range accounts(count) {
		all[i].Account = name
	}
	return all
}

func submit(t testing.TB, m *operation.Manager, n operation.New) operation.Operation {
	t.Helper()
	op, err := m.Submit(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return op
}

func finished(t testing.TB, m *operation.Manager, id string) operation.Operation {
	t.Helper()
	op, err := watch(t.Context(), m, id, func(operation.Operation) {})
	if err != nil {
		t.Fatal(err)
	}
	return op
}

// watch shows an operation to see until it has finished, and bears a directory that does not answer.
func watch(ctx context.Context, m *operation.Manager, id string, see func(operation.Operation)) (operation.Operation, error) {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		op, err := m.Get(ctx, id)
		if err != nil && !fault.Is(err, fault.DirectoryUnavailable) || err == nil && op.State.Finished() {
			return op, err
		}
		if err == nil {
			see(op)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return op, ctx.Err()
		}
	}
}

func notifications(t testing.TB, d *directory.Directory) []operation.Notification {
	t.Helper()
	all, err := d.Notifications(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// each does f for every pending item, on several goroutines.
func each(f func(operation.Item) error) operation.Runner {
	return operation.RunnerFunc(func(ctx context.Context, task *operation.Task) error {
		var group sync.WaitGroup
		items := make(chan operation.Item)
		for range 8 {
			group.Go(func() {
				for item := range items {
					if err := f(item); err != nil {
						task.Failed(item, err)
					} else {
						task.Succeeded(item, "")
					}
				}
			})
		}
		defer group.Wait()
		defer close(items)
		for _, item := range task.Pending() {
			select {
			case items <- item:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
}

func TestOperationSucceeds(t *testing.T) {
	d, _ := newDirectory(t)
	r := run(t, d, map[string]operation.Runner{"promoteAccounts": each(func(operation.Item) error { return nil })})
	op := submit(t, r.Manager, operation.New{Type: "promoteAccounts", Accounts: accounts(3000)})
	got := finished(t, r.Manager, op.ID)
	if got.State != operation.Successful || got.Done != 3000 || got.Failed != 0 || got.Finished.IsZero() {
		t.Errorf("got %+v", got)
	}
	told, all := <-r.told, notifications(t, d)
	if len(all) != 1 || all[0] != told || told.Type != directory.Information || told.Server != host ||
		told.Subject != "promoteAccounts successful: 3000 of 3000 accounts" {
		t.Errorf("told %+v, stored %+v", told, all)
	}
}

// TestOperationTellsWhatItWaitsFor watches a Runner that waits, until it goes on.
func TestOperationTellsWhatItWaitsFor(t *testing.T) {
	d, _ := newDirectory(t)
	goOn := make(chan struct{})
	r := run(t, d, map[string]operation.Runner{"wait": operation.RunnerFunc(func(_ context.Context, task *operation.Task) error {
		task.Waiting("the brokers do not answer")
		<-goOn
		task.Succeeded(task.Pending()[0], "")
		if op := task.Operation(); op.Error != "" {
			t.Errorf("with an outcome it still waits: %q", op.Error)
		}
		return nil
	})})
	op := submit(t, r.Manager, operation.New{Type: "wait", Accounts: accounts(1)})
	seen := false
	got, err := watch(t.Context(), r.Manager, op.ID, func(op operation.Operation) {
		if op.Error == "the brokers do not answer" && !seen {
			seen = true
			close(goOn)
		}
	})
	if err != nil || !seen || got.State != operation.Successful || got.Error != "" {
		t.Errorf("seen to wait: %t; ended as %+v, %v", seen, got, err)
	}
}

func TestOperationFails(t *testing.T) {
	d, _ := newDirectory(t)
	r := run(t, d, map[string]operation.Runner{
		"some": each(func(item operation.Item) error {
			if item.Position%10 == 0 {
				return fault.New(fault.Paused, "replication of %s is paused", item.Account)
			}
			return nil
		}),
		"all": each(func(operation.Item) error { return errors.New("secret") }),
		"whole": operation.RunnerFunc(func(context.Context, *operation.Task) error {
			return fault.New(fault.LogUnavailable, "no brokers")
		}),
		"lazy": operation.RunnerFunc(func(context.Context, *operation.Task) error { return nil }),
	})
	for _, c := range []struct {
		kind         string
		done, failed int
		notification directory.NotificationType
		text, never  string
	}{
		{"some", 1000, 100, directory.Warning, "<u10@x>: replication of u10@x is paused (run MailReplica restartReplicas first)", ""},
		{"all", 1000, 1000, directory.Error, "… and 950 more", "secret"},
		{"whole", 0, 0, directory.Error, "no brokers", ""},
		{"lazy", 0, 0, directory.Error, "1000 accounts were not tried", ""},
	} {
		op := submit(t, r.Manager, operation.New{Type: c.kind, Accounts: accounts(1000)})
		got := finished(t, r.Manager, op.ID)
		if got.State != operation.Failed || got.Done != c.done || got.Failed != c.failed {
			t.Errorf("%s: got %+v", c.kind, got)
		}
		told := <-r.told
		if told.Type != c.notification || !strings.Contains(told.Text, c.text) ||
			c.never != "" && strings.Contains(told.Text, c.never) {
			t.Errorf("%s: told %+v", c.kind, told)
		}
	}
	if _, err := r.Submit(t.Context(), operation.New{Type: "unknown"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("an unknown type: %v", err)
	}
}

func TestOperationTakesParameters(t *testing.T) {
	type parameters struct{ Destination string }
	d, _ := newDirectory(t)
	r := run(t, d, map[string]operation.Runner{"p": operation.RunnerFunc(func(_ context.Context, task *operation.Task) error {
		var p parameters
		if err := task.Parameters(&p); err != nil {
			return err
		}
		return fault.New(fault.Invalid, "to %s", p.Destination)
	})})
	op := submit(t, r.Manager, operation.New{Type: "p", Parameters: parameters{"mbox2"}})
	if got := finished(t, r.Manager, op.ID); got.Error != "to mbox2" {
		t.Errorf("got %+v", got)
	}
}

// halting does the first items and then waits to be ended.
func halting(count int, reached chan<- struct{}) operation.Runner {
	return operation.RunnerFunc(func(ctx context.Context, task *operation.Task) error {
		for _, item := range task.Pending()[:count] {
			task.Succeeded(item, "")
		}
		close(reached)
		<-ctx.Done()
		return ctx.Err()
	})
}

func TestOperationResumesAfterAShutdown(t *testing.T) {
	d, _ := newDirectory(t)
	reached := make(chan struct{})
	first := run(t, d, map[string]operation.Runner{"x": halting(700, reached)})
	op := submit(t, first.Manager, operation.New{Type: "x", Accounts: accounts(1000)})
	<-reached
	first.end()
	got, err := d.Operation(t.Context(), op.ID)
	if err != nil || got.State != operation.Interrupted || got.Done != 700 {
		t.Errorf("after the shutdown: %+v, %v", got, err)
	}
	var mu sync.Mutex
	var again []int
	second := run(t, d, map[string]operation.Runner{"x": each(func(item operation.Item) error {
		mu.Lock()
		defer mu.Unlock()
		again = append(again, item.Position)
		return nil
	})})
	if got := finished(t, second.Manager, op.ID); got.State != operation.Successful || got.Done != 1000 {
		t.Errorf("resumed: %+v", got)
	}
	if len(again) != 300 {
		t.Errorf("%d items were done after the resumption, want 300", len(again))
	}
	<-second.told
	if all := notifications(t, d); len(all) != 1 {
		t.Errorf("notifications %+v", all)
	}
}

func TestOperationStops(t *testing.T) {
	d, _ := newDirectory(t)
	reached := make(chan struct{})
	r := run(t, d, map[string]operation.Runner{"x": halting(3, reached)})
	op := submit(t, r.Manager, operation.New{Type: "x", Accounts: accounts(10)})
	<-reached
	if _, err := r.Stop(t.Context(), op.ID); err != nil {
		t.Fatal(err)
	}
	if got := finished(t, r.Manager, op.ID); got.State != operation.Stopped || got.Done != 3 {
		t.Errorf("got %+v", got)
	}
	if told := <-r.told; told.Type != directory.Warning || !strings.Contains(told.Text, "Not tried: 7") {
		t.Errorf("told %+v", told)
	}
}

func TestOperationIsRemoved(t *testing.T) {
	d, _ := newDirectory(t)
	reached, ended := make(chan struct{}), make(chan struct{})
	inner := halting(3, reached)
	r := run(t, d, map[string]operation.Runner{"x": operation.RunnerFunc(func(ctx context.Context, task *operation.Task) error {
		defer close(ended)
		return inner.Run(ctx, task)
	})})
	op := submit(t, r.Manager, operation.New{Type: "x", Accounts: accounts(10)})
	<-reached
	if _, err := r.Remove(t.Context(), op.ID); err != nil {
		t.Fatal(err)
	}
	<-ended
	r.end()
	if got, err := d.Operation(t.Context(), op.ID); err != nil || got.State != operation.Removed {
		t.Errorf("got %+v, %v", got, err)
	}
	if all := notifications(t, d); len(all) != 0 {
		t.Errorf("notifications %+v", all)
	}
}

// The directory goes away while an operation runs: its progress is known here, and stored when it is back.
func TestOperationOutlivesTheDirectorysAbsence(t *testing.T) {
	d, path := newDirectory(t)
	reached, more := make(chan struct{}), make(chan struct{})
	r := run(t, d, map[string]operation.Runner{"x": operation.RunnerFunc(func(_ context.Context, task *operation.Task) error {
		close(reached)
		<-more
		for _, item := range task.Pending() {
			task.Succeeded(item, "")
		}
		return nil
	})})
	op := submit(t, r.Manager, operation.New{Type: "x", Accounts: accounts(100)})
	<-reached
	away := filepath.Dir(path) + ".away"
	if err := os.Rename(filepath.Dir(path), away); err != nil {
		t.Fatal(err)
	}
	close(more)
	var seen sync.Once
	live := make(chan operation.Operation, 1)
	watched := make(chan operation.Operation, 1)
	go func() {
		op, err := watch(t.Context(), r.Manager, op.ID, func(op operation.Operation) {
			if op.Done == 100 {
				seen.Do(func() { live <- op })
			}
		})
		if err != nil {
			t.Error(err)
		}
		watched <- op
	}()
	<-live
	if err := os.Rename(away, filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if got := <-watched; got.State != operation.Successful || got.Done != 100 {
		t.Errorf("got %+v", got)
	}
}

func TestUnknownOperationIsEnded(t *testing.T) {
	d, _ := newDirectory(t)
	op, err := d.CreateOperation(t.Context(), operation.Operation{Type: "ofTheFuture", Host: host}, items(2))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := d.CreateOperation(t.Context(), operation.Operation{Type: "ofTheFuture", Host: "mbox2.example.com"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, d, nil)
	if got := finished(t, r.Manager, op.ID); got.State != operation.Failed || !strings.Contains(got.Error, "ofTheFuture") {
		t.Errorf("got %+v", got)
	}
	if got, err := r.Get(t.Context(), elsewhere.ID); err != nil || got.State != operation.Queued {
		t.Errorf("another mailstore's: %+v, %v", got, err)
	}
}

func TestOperationsWaitForTheirTurn(t *testing.T) {
	d, _ := newDirectory(t)
	started, release := make(chan struct{}, 16), make(chan struct{})
	r := run(t, d, map[string]operation.Runner{"x": operation.RunnerFunc(func(context.Context, *operation.Task) error {
		started <- struct{}{}
		<-release
		return nil
	})})
	var ops []operation.Operation
	for range 6 {
		ops = append(ops, submit(t, r.Manager, operation.New{Type: "x"}))
	}
	for range 4 {
		<-started
	}
	running := 0
	all, err := r.List(t.Context(), directory.OperationFilter{Unfinished: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range all {
		if op.State == operation.Running {
			running++
		}
	}
	if running != 4 || len(all) != 6 {
		t.Errorf("%d of %d operations run, want 4 of 6", running, len(all))
	}
	close(release)
	for _, op := range ops {
		finished(t, r.Manager, op.ID)
	}
}

func BenchmarkItems(b *testing.B) {
	d, _ := newDirectory(b)
	r := run(b, d, map[string]operation.Runner{"x": each(func(operation.Item) error { return nil })})
	const items = 100_000
	for b.Loop() {
		op := submit(b, r.Manager, operation.New{Type: "x", Accounts: accounts(items)})
		if got := finished(b, r.Manager, op.ID); got.Done != items {
			b.Errorf("got %+v", got)
		}
		<-r.told
	}
	b.ReportMetric(float64(items*b.N)/b.Elapsed().Seconds(), "items/s")
}
