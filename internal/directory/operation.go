package directory

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"mailreplica/internal/fault"
)

// OperationState is where a long-running operation stands.
type OperationState string

// The states. Interrupted is an operation whose mailstore was shut down; it is run on when that mailstore starts again.
const (
	Queued      OperationState = "queued"
	Running     OperationState = "running"
	Interrupted OperationState = "interrupted"
	Successful  OperationState = "successful"
	Failed      OperationState = "failed"
	Stopped     OperationState = "stopped"
	RemovedOp   OperationState = "removed"
)

func (s OperationState) known() bool {
	return s == Queued || s == Running || s == Interrupted || s.Finished()
}

// Finished reports whether the state is the operation's last.
func (s OperationState) Finished() bool {
	return s == Successful || s == Failed || s == Stopped || s == RemovedOp
}

// Limits of an operation.
const (
	OperationItemsMax      = 1_000_000
	OperationParametersMax = 1 << 20 // bytes
	MessageBytesMax        = 1024    // of an item, of an operation's error
	ItemAccountBytesMax    = 1024
	ItemParameterBytesMax  = 256
	itemsRowsMax           = 2048 // in one write or page
	itemsStatementRowsMax  = 128
)

// Operation is a long-running command. Its items are read apart.
type Operation struct {
	ID            string // UUID
	Type          string // e.g. promoteAccounts
	Host          string // FQDN of the mailstore that runs it
	State         OperationState
	Total         int // items
	Done          int // items that are successful or failed
	Failed        int
	Parameters    json.RawMessage
	Error         string // what ended it as a whole; of one that runs, what it waits for
	StopRequested bool
	Created       time.Time
	Updated       time.Time
	Finished      time.Time // zero until then
}

// ItemState is where one account of an operation stands.
type ItemState string

// The states of an item.
const (
	ItemQueued     ItemState = "queued"
	ItemSuccessful ItemState = "successful"
	ItemFailed     ItemState = "failed"
)

func (s ItemState) known() bool { return s == ItemQueued || s == ItemSuccessful || s == ItemFailed }

// OperationItem is one account of an operation.
type OperationItem struct {
	Position  int    // from 0, its place among the operation's items
	Account   string // name or id, as the command was told
	Parameter string // what was decided of this item when the operation was made
	State     ItemState
	Message   string
}

// NewItem is an item of an operation that is made. What differs from item to item goes into its Parameter: the operation's
// own are read and written as one, however many items it has.
type NewItem struct{ Account, Parameter string }

const operationColumns = `id, type, host, state, total, done, failed, parameters, error, stop_requested, created_at,
	updated_at, finished_at`

// CreateOperation stores a queued operation with its items, many of them in several writes. Until the last is stored
// the operation counts as removed, so that one whose making broke off runs nowhere, and is pruned.
func (d *Directory) CreateOperation(ctx context.Context, op Operation, items []NewItem) (Operation, error) {
	if len(items) > OperationItemsMax {
		return Operation{}, fault.New(fault.TooLarge, "%d accounts: an operation takes at most %d", len(items), OperationItemsMax)
	}
	for _, item := range items {
		if len(item.Account) > ItemAccountBytesMax || len(item.Parameter) > ItemParameterBytesMax {
			return Operation{}, fault.New(fault.TooLarge, "the account %.80q, or what was decided of it, is too long", item.Account)
		}
	}
	if len(op.Parameters) > OperationParametersMax {
		return Operation{}, fault.New(fault.TooLarge, "the parameters have more than %d bytes", OperationParametersMax)
	}
	if len(op.Parameters) == 0 {
		op.Parameters = json.RawMessage("{}")
	}
	op.ID, op.Total, op.Done, op.Failed = newID(), len(items), 0, 0
	err := d.store.write(ctx, func(t *tx) error {
		op.State, op.Created = RemovedOp, t.now.UTC().Truncate(time.Millisecond)
		op.Updated, op.Finished = op.Created, op.Created
		return t.insertOperation(&op)
	})
	for start := 0; err == nil && start < len(items); start += itemsRowsMax {
		part := items[start:min(start+itemsRowsMax, len(items))]
		err = d.store.write(ctx, func(t *tx) error { return t.insertItems(op.ID, start, part) })
	}
	if err != nil {
		return Operation{}, err
	}
	err = d.store.write(ctx, func(t *tx) error {
		op.State, op.Finished = Queued, time.Time{}
		return t.putOperation(&op)
	})
	return op, err
}

func (t *tx) insertOperation(op *Operation) error {
	_, err := t.exec("INSERT INTO operations ("+operationColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		op.ID, op.Type, op.Host, string(op.State), op.Total, op.Done, op.Failed, string(op.Parameters), op.Error,
		op.StopRequested, millis(op.Created), millis(op.Updated), millis(op.Finished))
	return err
}

// insertItems inserts many items with a statement: each of them is a round trip to a server.
func (t *tx) insertItems(operation string, start int, items []NewItem) error {
	for part := range slices.Chunk(items, itemsStatementRowsMax) {
		const row = "(?, ?, ?, ?, ?, '')"
		values := make([]any, 0, 5*len(part))
		for i, item := range part {
			values = append(values, operation, start+i, item.Account, item.Parameter, string(ItemQueued))
		}
		start += len(part)
		_, err := t.exec("INSERT INTO operation_items (operation_id, position, account, parameter, state, message) VALUES "+
			row+strings.Repeat(", "+row, len(part)-1), values...)
		if err != nil {
			return err
		}
	}
	return nil
}

// Operation gives one operation; an unknown one is NotFound.
func (d *Directory) Operation(ctx context.Context, id string) (Operation, error) {
	var op Operation
	err := d.store.read(ctx, func(q *query) (err error) {
		op, err = q.operation(id)
		return err
	})
	return op, err
}

func (q *query) operation(id string) (Operation, error) {
	found, err := rows(q, scanOperation, "SELECT "+operationColumns+" FROM operations WHERE id = ?"+q.lock, id)
	if err != nil {
		return Operation{}, err
	}
	if len(found) == 0 {
		return Operation{}, fault.New(fault.NotFound, "there is no operation %s", id).
			WithHint("core getAllOperations lists the operations")
	}
	return found[0], nil
}

// OperationFilter chooses operations; empty fields choose all.
type OperationFilter struct {
	Host       string
	Unfinished bool
	Limit      int // newest first; 0: all that are kept
}

// Operations gives operations, the newest first.
func (d *Directory) Operations(ctx context.Context, f OperationFilter) ([]Operation, error) {
	text, args := "SELECT "+operationColumns+" FROM operations WHERE 1 = 1", []any{}
	if f.Host != "" {
		text, args = text+" AND host = ?", append(args, f.Host)
	}
	if f.Unfinished {
		text += " AND finished_at = 0"
	}
	text += " ORDER BY created_at DESC, id"
	if f.Limit > 0 {
		text, args = text+" LIMIT ?", append(args, f.Limit)
	}
	var all []Operation
	err := d.store.read(ctx, func(q *query) (err error) {
		all, err = rows(q, scanOperation, text, args...)
		return err
	})
	return all, err
}

// ItemFilter chooses items of an operation.
type ItemFilter struct {
	State ItemState // empty: every state
	From  int       // first position
	Limit int       // at most 2048, which is also the default
}

// OperationItems gives a page of an operation's items, by position.
func (d *Directory) OperationItems(ctx context.Context, id string, f ItemFilter) ([]OperationItem, error) {
	if f.Limit <= 0 || f.Limit > itemsRowsMax {
		f.Limit = itemsRowsMax
	}
	text, args := `SELECT position, account, parameter, state, message FROM operation_items
		WHERE operation_id = ? AND position >= ?`, []any{id, f.From}
	if f.State != "" {
		text, args = text+" AND state = ?", append(args, string(f.State))
	}
	text, args = text+" ORDER BY position LIMIT ?", append(args, f.Limit)
	var all []OperationItem
	err := d.store.read(ctx, func(q *query) (err error) {
		all, err = rows(q, scanItem, text, args...)
		return err
	})
	return all, err
}

func scanOperation(row scanner) (Operation, error) {
	var op Operation
	var parameters string
	var created, updated, finished int64
	err := row.Scan(&op.ID, &op.Type, &op.Host, &op.State, &op.Total, &op.Done, &op.Failed, &parameters, &op.Error,
		&op.StopRequested, &created, &updated, &finished)
	op.Parameters = json.RawMessage(parameters)
	if err != nil {
		return op, err
	}
	op.Created, op.Updated, op.Finished = fromMillis(created), fromMillis(updated), fromMillis(finished)
	return op, sound("operation", op.ID, claim{"state", op.State.known()}, claim{"parameters", json.Valid(op.Parameters)},
		claim{"done", op.Failed >= 0 && op.Failed <= op.Done && op.Done <= op.Total},
		claim{"created_at", isTime(created)}, claim{"updated_at", isTime(updated)}, claim{"finished_at", isTime(finished)})
}

func scanItem(row scanner) (OperationItem, error) {
	var item OperationItem
	if err := row.Scan(&item.Position, &item.Account, &item.Parameter, &item.State, &item.Message); err != nil {
		return item, err
	}
	return item, sound("item of an operation for", item.Account, claim{"state", item.State.known()}, claim{"position", item.Position >= 0})
}
