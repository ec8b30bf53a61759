package operation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

const (
	failuresToldMax = 50  // failed items that a notification names
	notesMax        = 100 // lines of a Runner in a notification
	interruptWait   = 2 * time.Second
)

// Why a Runner's context ended, other than the process ending.
var (
	errStopped = errors.New("the operation was stopped")
	errGone    = errors.New("the operation has ended elsewhere")
)

// run runs one operation from where it stands to its end, or to the end of life.
func (m *Manager) run(life context.Context, id string) {
	task, err := m.begin(life, id)
	if err != nil || task == nil {
		return // life ended, or the operation has, or is unknown: nothing to report to
	}
	runner := m.cfg.Runners[task.kind]
	if runner == nil {
		m.finish(life, task, Failed, fmt.Sprintf("this version does not know the operation %s", task.kind))
		return
	}
	m.mu.Lock()
	m.running[id] = task
	m.mu.Unlock()

	ctx, cancel := context.WithCancelCause(life)
	defer cancel(nil)
	result := make(chan error, 1)
	go func() { result <- runner.Run(ctx, task) }()
	problem := m.follow(ctx, cancel, task, result)
	m.end(life, context.Cause(ctx), task, problem)
}

// begin marks the operation as running and reads its pending items. No task: it has finished.
func (m *Manager) begin(life context.Context, id string) (*Task, error) {
	var task *Task
	err := m.untilAnswered(life, func() error {
		op, err := m.cfg.Directory.RecordProgress(life, id, Running, nil)
		if err != nil || op.State.Finished() {
			return err
		}
		pending, err := m.pending(life, op)
		if err != nil {
			return err
		}
		task = newTask(op, pending)
		return nil
	})
	return task, err
}

func (m *Manager) pending(ctx context.Context, op Operation) ([]Item, error) {
	all := make([]Item, 0, op.Total-op.Done)
	for from := 0; from < op.Total; {
		page, err := m.cfg.Directory.OperationItems(ctx, op.ID, directory.ItemFilter{State: ItemQueued, From: from})
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		all = append(all, page...)
		from = page[len(page)-1].Position + 1
	}
	return all, nil
}

// follow stores progress while the Runner works, and gives the Runner's error. While the directory does not answer, the
// results wait in the task. A stop that was asked for is seen with the answer to a report; so there is a report now and
// then even if there is nothing to tell.
func (m *Manager) follow(ctx context.Context, cancel context.CancelCauseFunc, task *Task, result <-chan error) error {
	quiet := time.NewTicker(5 * m.cfg.StoreEvery)
	defer quiet.Stop()
	for {
		select {
		case problem := <-result:
			return problem
		case <-task.wake:
		case <-quiet.C:
		}
		if op, err := m.store(ctx, task, Running); err == nil {
			switch {
			case op.State.Finished():
				cancel(errGone)
			case op.StopRequested:
				cancel(errStopped)
			}
		}
		timer := time.NewTimer(m.cfg.StoreEvery)
		select {
		case problem := <-result:
			timer.Stop()
			return problem
		case <-timer.C:
		}
	}
}

// store writes what was reported since the last time.
func (m *Manager) store(ctx context.Context, task *Task, state State) (Operation, error) {
	results := task.take()
	op, err := m.cfg.Directory.RecordProgress(ctx, task.id, state, results)
	if err == nil {
		task.settle(len(results), op)
	}
	return op, err
}

// end stores the last results and how the operation ended.
func (m *Manager) end(life context.Context, cause error, task *Task, problem error) {
	if errors.Is(cause, errGone) {
		return
	}
	if life.Err() != nil {
		// The process ends. What cannot be stored now is done again by the next one, which resumes the operation in
		// either state.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(life), interruptWait)
		defer cancel()
		_, _ = m.store(ctx, task, Interrupted)
		return
	}
	var op Operation
	err := m.untilAnswered(life, func() (err error) {
		op, err = m.store(life, task, Running)
		return err
	})
	if err != nil {
		return
	}
	switch {
	case errors.Is(cause, errStopped) && (problem != nil || op.Done < op.Total):
		m.finish(life, task, Stopped, "stopped by an administrator")
	case problem != nil:
		m.finish(life, task, Failed, fault.Message(problem))
	case op.Done < op.Total:
		m.finish(life, task, Failed, fmt.Sprintf("%d %s were not tried", op.Total-op.Done, m.noun(op.Type)))
	case op.Failed > 0:
		m.finish(life, task, Failed, "")
	default:
		m.finish(life, task, Successful, "")
	}
}

// finish stores the operation's last state with its one notification.
func (m *Manager) finish(life context.Context, task *Task, state State, problem string) {
	var told *Notification
	err := m.untilAnswered(life, func() error {
		failures, err := m.cfg.Directory.OperationItems(life, task.id,
			directory.ItemFilter{State: ItemFailed, Limit: failuresToldMax})
		if err != nil {
			return err
		}
		_, told, err = m.cfg.Directory.FinishOperation(life, task.id, state, problem,
			func(op Operation) Notification { return m.notification(op, failures, task.noted()) })
		return err
	})
	if err == nil && told != nil && m.cfg.Notified != nil {
		m.cfg.Notified(*told)
	}
}

// noun is what the items of an operation are called.
func (m *Manager) noun(kind string) string {
	if noun := m.cfg.Items[kind]; noun != "" {
		return noun
	}
	return "accounts"
}

// notification tells the end of an operation: counts, the failures by name, and what its Runner noted.
func (m *Manager) notification(op Operation, failures []Item, notes []string) Notification {
	noun := m.noun(op.Type)
	n := Notification{Server: op.Host, Type: directory.Information}
	n.Subject = fmt.Sprintf("%s %s: %d of %d %s", op.Type, op.State, op.Done-op.Failed, op.Total, noun)
	switch {
	case op.State == Stopped, op.State == Failed && op.Failed < op.Done:
		n.Type = directory.Warning
	case op.State == Failed:
		n.Type = directory.Error
	}
	var text strings.Builder
	fmt.Fprintf(&text, "Operation %s (%s) on %s has ended: %s.\n", op.ID, op.Type, op.Host, op.State)
	fmt.Fprintf(&text, "%s: %d. Successful: %d. Failed: %d. Not tried: %d.\n",
		strings.ToUpper(noun[:1])+noun[1:], op.Total, op.Done-op.Failed, op.Failed, op.Total-op.Done)
	if op.Error != "" {
		fmt.Fprintf(&text, "%s\n", op.Error)
	}
	for _, item := range failures {
		name := item.Account
		if m.cfg.Name != nil {
			name = m.cfg.Name(name)
		}
		fmt.Fprintf(&text, "%s: %s\n", name, item.Message)
	}
	if op.Failed > len(failures) {
		fmt.Fprintf(&text, "… and %d more.\n", op.Failed-len(failures))
	}
	for _, line := range notes {
		fmt.Fprintf(&text, "%s\n", line)
	}
	n.Text = text.String()
	return n
}
