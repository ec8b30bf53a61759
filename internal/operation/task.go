package operation

import (
	"encoding/json"
	"sync"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

// Task is an operation as its Runner sees it. Its methods may be called at once by many goroutines.
type Task struct {
	id      string
	kind    string // type of the operation
	pending []Item
	wake    chan struct{} // holds one: there is something to store

	mu         sync.Mutex // guards what follows
	stored     Operation  // as the directory has it
	unstored   []directory.ItemResult
	notes      []string         // lines for the notification
	reported   map[int]struct{} // positions, so that a second report does not count
	doneMore   int              // of unstored
	failedMore int
	waiting    string // what the Runner waits for
}

func newTask(op Operation, pending []Item) *Task {
	return &Task{id: op.ID, kind: op.Type, stored: op, pending: pending,
		reported: make(map[int]struct{}, len(pending)), wake: make(chan struct{}, 1)}
}

// Operation gives the operation with its present counts, and as its error what it waits for.
func (t *Task) Operation() Operation {
	t.mu.Lock()
	defer t.mu.Unlock()
	op := t.stored
	if op.Error == "" {
		op.Error = t.waiting
	}
	op.Done += t.doneMore
	op.Failed += t.failedMore
	return op
}

// Parameters reads the operation's parameters into v.
func (t *Task) Parameters(v any) error {
	t.mu.Lock()
	parameters := t.stored.Parameters
	t.mu.Unlock()
	if err := json.Unmarshal(parameters, v); err != nil {
		return fault.Wrap(fault.Invalid, err, "the operation's parameters cannot be read")
	}
	return nil
}

// Note adds a line to the notification at the operation's end. Lines are lost with the process, and over a limit; what was
// noted by a Runner that is run again is noted again.
func (t *Task) Note(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.notes) < notesMax {
		t.notes = append(t.notes, line)
	}
}

// Waiting tells whoever watches the operation what it waits for, until the next outcome is reported.
func (t *Task) Waiting(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting = what
}

func (t *Task) noted() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.notes
}

// Pending gives the items that have no outcome yet. The slice must not be altered.
func (t *Task) Pending() []Item { return t.pending }

// Succeeded reports that an item is done. The message may be empty.
func (t *Task) Succeeded(item Item, message string) { t.report(item, ItemSuccessful, message) }

// Failed reports that an item failed, and why: the message of err that a user may see, and its hint.
func (t *Task) Failed(item Item, err error) {
	t.report(item, ItemFailed, fault.Message(err)+" ("+fault.HintOf(err)+")")
}

func (t *Task) report(item Item, state ItemState, message string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, twice := t.reported[item.Position]; twice {
		return
	}
	t.reported[item.Position] = struct{}{}
	t.waiting = ""
	t.unstored = append(t.unstored, directory.ItemResult{Position: item.Position, State: state, Message: message})
	t.doneMore++
	if state == ItemFailed {
		t.failedMore++
	}
	t.nudge()
}

// nudge has the task's progress stored soon.
func (t *Task) nudge() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// take gives the results to be stored next. They stay counted as unstored until settle.
func (t *Task) take() []directory.ItemResult {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unstored
}

// settle notes that the first n unstored results are stored, and what the operation is there.
func (t *Task) settle(n int, op Operation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unstored = append([]directory.ItemResult(nil), t.unstored[n:]...)
	t.stored = op
	t.doneMore, t.failedMore = len(t.unstored), 0
	for _, r := range t.unstored {
		if r.State == ItemFailed {
			t.failedMore++
		}
	}
}
