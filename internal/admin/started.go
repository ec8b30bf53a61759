package admin

import (
	"context"
	"slices"
	"strings"
	"sync"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/operation"
)

// Started is the answer of a command that goes on after it was given.
type Started struct {
	OperationID string   `json:"operationId,omitempty"` // empty: there is nothing to wait for
	Host        string   `json:"host,omitempty"`        // the mailstore that runs the operation
	Accounts    int      `json:"accounts"`              // that the command concerns
	Pending     int      `json:"pending,omitempty"`     // of them, what is carried out only when a mailstore returns
	Notes       []string `json:"notes,omitempty"`
}

// submit stores an operation over accounts and gives its id.
func (a *Admin) submit(ctx context.Context, n operation.New, notes []string) (Started, error) {
	if len(n.Accounts) == 0 {
		if len(notes) == 0 {
			notes = []string{"there is nothing to do"}
		}
		return Started{Notes: notes}, nil
	}
	op, err := a.Operations.Submit(ctx, n)
	if err != nil {
		return Started{}, err
	}
	return Started{OperationID: op.ID, Host: op.Host, Accounts: len(n.Accounts), Notes: notes}, nil
}

// writersMax is how many wishes are written side by side: the directory folds as many into one transaction.
const writersMax = 128

// writeEach writes a wish for every account. After a failure the rest is left, and the error says how many were written.
func (a *Admin) writeEach(ctx context.Context, accounts []directory.Account, write func(directory.Account) error) error {
	var mu sync.Mutex
	var failure error
	written, next := 0, 0
	take := func() (directory.Account, bool) {
		mu.Lock()
		defer mu.Unlock()
		if failure != nil || next == len(accounts) || ctx.Err() != nil {
			return directory.Account{}, false
		}
		next++
		return accounts[next-1], true
	}
	var writers sync.WaitGroup
	for range min(writersMax, len(accounts)) {
		writers.Go(func() {
			for one, ok := take(); ok; one, ok = take() {
				err := write(one)
				mu.Lock()
				if err == nil {
					written++
				} else if failure == nil {
					failure = err
				}
				mu.Unlock()
			}
		})
	}
	writers.Wait()
	if failure == nil && ctx.Err() != nil {
		failure = fault.Wrap(fault.Interrupted, ctx.Err(), "interrupted")
	}
	if failure != nil && written > 0 {
		return fault.Wrap(fault.KindOf(failure), failure, "%s; for %d of %d accounts it was recorded before", fault.Message(failure),
			written, len(accounts)).WithHint("%s; then repeat the command", fault.HintOf(failure))
	}
	return failure
}

// silentNote says which mailstores do not answer, and what that means.
func silentNote(silent map[string]error, meaning string) []string {
	if len(silent) == 0 {
		return nil
	}
	var names []string
	for fqdn := range silent {
		names = append(names, fqdn)
	}
	slices.Sort(names)
	verb := " does"
	if len(names) > 1 {
		verb = " do"
	}
	return []string{strings.Join(names, ", ") + verb + " not answer: " + meaning}
}
