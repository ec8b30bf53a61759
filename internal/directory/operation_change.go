package directory

import (
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"mailreplica/internal/fault"
)

// ItemResult is what came of one item.
type ItemResult struct {
	Position int
	State    ItemState
	Message  string
}

// RecordProgress stores results of items and the state (Running or Interrupted) of an operation that has not finished,
// and gives the operation with its counts, and whether a stop was asked for. Repeating a result changes nothing. An
// operation that has finished is left as it is, and given.
func (d *Directory) RecordProgress(ctx context.Context, id string, state OperationState,
	results []ItemResult) (Operation, error) {
	if state.Finished() {
		return Operation{}, fault.New(fault.Internal, "progress of an operation that is %s", state)
	}
	for {
		part := results[:min(len(results), itemsRowsMax)]
		results = results[len(part):]
		op, err := d.recordProgress(ctx, id, state, part)
		if err != nil || len(results) == 0 {
			return op, err
		}
	}
}

func (d *Directory) recordProgress(ctx context.Context, id string, state OperationState,
	results []ItemResult) (Operation, error) {
	var op Operation
	err := d.store.write(ctx, func(t *tx) (err error) {
		if op, err = t.operation(id); err != nil || op.State.Finished() {
			return err
		}
		op.State = state
		if err := t.putResults(&op, results); err != nil {
			return err
		}
		return t.putOperation(&op)
	})
	return op, err
}

// putResults stores results and counts those that are new. Most of them say the same of many items, and are stored with one
// statement for all of those.
func (t *tx) putResults(op *Operation, results []ItemResult) error {
	type outcome struct {
		state   ItemState
		message string
	}
	positions := make(map[outcome][]any)
	var order []outcome
	for _, r := range results {
		if r.State == ItemQueued {
			continue
		}
		o := outcome{r.State, clip(r.Message, MessageBytesMax)}
		if positions[o] == nil {
			order = append(order, o)
		}
		positions[o] = append(positions[o], r.Position)
	}
	for _, o := range order {
		for part := range slices.Chunk(positions[o], itemsStatementRowsMax) {
			met, err := t.exec(`UPDATE operation_items SET state = ?, message = ? WHERE operation_id = ? AND state = ?
				AND position IN (`+placeholders(len(part))+")",
				append([]any{string(o.state), o.message, op.ID, string(ItemQueued)}, part...)...)
			if err != nil {
				return err
			}
			op.Done += int(met)
			if o.state == ItemFailed {
				op.Failed += int(met)
			}
		}
	}
	return nil
}

// FinishOperation stores an operation's last state, and its one notification, made by notify from the final counts. An
// operation that has finished is left as it is, and no notification is stored nor given.
func (d *Directory) FinishOperation(ctx context.Context, id string, state OperationState, problem string,
	notify func(Operation) Notification) (Operation, *Notification, error) {
	if !state.Finished() {
		return Operation{}, nil, fault.New(fault.Internal, "an operation that ends as %s", state)
	}
	var op Operation
	var told *Notification
	err := d.store.write(ctx, func(t *tx) (err error) {
		told = nil
		if op, err = t.operation(id); err != nil || op.State.Finished() {
			return err
		}
		op.State, op.Error = state, clip(problem, MessageBytesMax)
		op.Finished = t.now.UTC().Truncate(time.Millisecond)
		if err := t.putOperation(&op); err != nil {
			return err
		}
		n := notify(op)
		n.Operation, told = id, &n
		return t.insertNotification(&n)
	})
	if err != nil {
		return Operation{}, nil, err
	}
	return op, told, nil
}

// RequestStop asks the mailstore that runs an operation to stop it. One that has finished is Invalid.
func (d *Directory) RequestStop(ctx context.Context, id string) (Operation, error) {
	var op Operation
	err := d.store.write(ctx, func(t *tx) (err error) {
		if op, err = t.operation(id); err != nil {
			return err
		}
		if op.State.Finished() {
			return fault.New(fault.Invalid, "the operation %s is %s", id, op.State).
				WithHint("it has ended: there is nothing to stop")
		}
		op.StopRequested = true
		return t.putOperation(&op)
	})
	return op, err
}

// RemoveOperation ends an operation as removed, whatever its state, without a notification: the mailstore that runs it
// gives it up at its next report. For one whose mailstore will not come back.
func (d *Directory) RemoveOperation(ctx context.Context, id string) (Operation, error) {
	var op Operation
	err := d.store.write(ctx, func(t *tx) (err error) {
		if op, err = t.operation(id); err != nil || op.State == RemovedOp {
			return err
		}
		op.State = RemovedOp
		if op.Finished.IsZero() {
			op.Finished = t.now.UTC().Truncate(time.Millisecond)
		}
		return t.putOperation(&op)
	})
	return op, err
}

// putOperation writes what may change of an operation.
func (t *tx) putOperation(op *Operation) error {
	op.Updated = t.now.UTC().Truncate(time.Millisecond)
	_, err := t.exec(`UPDATE operations SET state = ?, done = ?, failed = ?, error = ?, stop_requested = ?, updated_at = ?,
		finished_at = ? WHERE id = ?`, string(op.State), op.Done, op.Failed, op.Error, op.StopRequested,
		millis(op.Updated), millis(op.Finished), op.ID)
	return err
}

// clip shortens a text to what a row may hold, at a character's border.
func clip(s string, bytesMax int) string {
	if len(s) <= bytesMax {
		return s
	}
	const mark = "…"
	end := bytesMax - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}
