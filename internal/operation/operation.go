// Package operation runs the long-running commands of an administrator: each is stored in the directory with its items,
// reports its progress there, goes on after its mailstore was restarted, and ends with exactly one notification.
//
// It knows no command. What an operation does is a Runner's, one for each type, given to the Manager when it is made.
package operation

import (
	"context"
	"encoding/json"

	"mailreplica/internal/directory"
)

// The stored records are the directory's.
type (
	Operation    = directory.Operation
	State        = directory.OperationState
	Item         = directory.OperationItem
	ItemState    = directory.ItemState
	Notification = directory.Notification
)

// States of an operation.
const (
	Queued      = directory.Queued
	Running     = directory.Running
	Interrupted = directory.Interrupted
	Successful  = directory.Successful
	Failed      = directory.Failed
	Stopped     = directory.Stopped
	Removed     = directory.RemovedOp
)

// States of an item.
const (
	ItemQueued     = directory.ItemQueued
	ItemSuccessful = directory.ItemSuccessful
	ItemFailed     = directory.ItemFailed
)

// Runner does the operations of one type.
//
// Run works on the task's pending items, in any order and as many at once as it likes, and reports each when its
// outcome is certain. It may be run again for the same operation after a crash, with the items that were not reported or
// whose report was lost: so doing an item twice must do no harm. An error ends the whole operation as failed; a failure
// of one item is reported, not returned. When ctx ends, Run returns soon, and leaves the items that it did not finish
// unreported.
type Runner interface {
	Run(ctx context.Context, task *Task) error
}

// RunnerFunc is a Runner that is one function.
type RunnerFunc func(ctx context.Context, task *Task) error

// Run calls the function.
func (f RunnerFunc) Run(ctx context.Context, task *Task) error { return f(ctx, task) }

// New is an operation to be submitted.
type New struct {
	Type       string
	Accounts   []string // its items: names or ids
	Decided    []string // optional: by item, what its Parameter is to be
	Parameters any      // made JSON; nil: none
}

func (n New) items() []directory.NewItem {
	items := make([]directory.NewItem, len(n.Accounts))
	for i, name := range n.Accounts {
		items[i].Account = name
		if i < len(n.Decided) {
			items[i].Parameter = n.Decided[i]
		}
	}
	return items
}

func (n New) parameters() (json.RawMessage, error) {
	if n.Parameters == nil {
		return nil, nil
	}
	return json.Marshal(n.Parameters)
}
