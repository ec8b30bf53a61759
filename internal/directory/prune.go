package directory

import (
	"context"
	"time"
)

// How long the directory remembers what is over. Ids of deleted accounts are kept for ever: a source that returns after
// years must still be told.
const (
	OperationsKeptFor    = 90 * 24 * time.Hour
	OperationsKeptMax    = 1000
	NotificationsKeptFor = 365 * 24 * time.Hour
	NotificationsKeptMax = 10_000
	removedKeptFor       = 90 * 24 * time.Hour
	pruneItemsRowsMax    = 5000 // deleted by one write
	pruneOperationsMax   = 100  // deleted by one Prune
)

// Prune deletes finished operations and notifications beyond the limits above, and notes of removed rows that every
// mailstore which is still in use has read long ago. It is safe to call it from several mailstores, and often: it does
// a bounded amount of work.
func (d *Directory) Prune(ctx context.Context) error {
	if err := d.pruneOperations(ctx); err != nil {
		return err
	}
	return d.store.write(ctx, func(t *tx) error {
		if err := t.pruneNotifications(); err != nil {
			return err
		}
		if err := t.pruneRemoved(); err != nil {
			return err
		}
		return d.store.engine.tidy(t.ctx, t.sql, t.now)
	})
}

func (d *Directory) pruneOperations(ctx context.Context) error {
	old, err := d.prunable(ctx)
	if err != nil {
		return err
	}
	for _, id := range old {
		if err := d.deleteOperation(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// prunable gives the finished operations that are too old or too many, the oldest first.
func (d *Directory) prunable(ctx context.Context) ([]string, error) {
	var ids []string
	err := d.store.read(ctx, func(q *query) error {
		all, err := rows(q, scanOperation, "SELECT "+operationColumns+
			" FROM operations WHERE finished_at <> 0 ORDER BY finished_at DESC, id")
		if err != nil {
			return err
		}
		ahead, err := q.skew()
		if err != nil {
			return err
		}
		ids = nil
		limit := d.store.now().Add(-ahead - OperationsKeptFor)
		for i := len(all) - 1; i >= 0 && len(ids) < pruneOperationsMax; i-- {
			if i >= OperationsKeptMax || all[i].Finished.Before(limit) {
				ids = append(ids, all[i].ID)
			}
		}
		return nil
	})
	return ids, err
}

// deleteOperation deletes an operation and its items, the row last, so that it can be repeated.
func (d *Directory) deleteOperation(ctx context.Context, id string) error {
	for more := true; more; {
		err := d.store.write(ctx, func(t *tx) error {
			met, err := t.exec(`DELETE FROM operation_items WHERE operation_id = ? AND position < (SELECT MIN(position) + ?
				FROM (SELECT position FROM operation_items WHERE operation_id = ?) AS items)`, id, pruneItemsRowsMax, id)
			more = met > 0
			return err
		})
		if err != nil {
			return err
		}
	}
	return d.store.write(ctx, func(t *tx) error {
		_, err := t.exec("DELETE FROM operations WHERE id = ?", id)
		return err
	})
}

func (t *tx) pruneNotifications() error {
	if _, err := t.exec("DELETE FROM notifications WHERE created_at < ?",
		millis(t.now.Add(-NotificationsKeptFor))); err != nil {
		return err
	}
	var border int64
	beyond, err := t.row("SELECT created_at FROM notifications ORDER BY created_at DESC LIMIT 1 OFFSET ?",
		[]any{NotificationsKeptMax}, &border)
	if err != nil || !beyond {
		return err
	}
	_, err = t.exec("DELETE FROM notifications WHERE created_at <= ?", border)
	return err
}

func (t *tx) pruneRemoved() error {
	limit := millis(t.now.Add(-removedKeptFor))
	var last int64
	found, err := t.row("SELECT version FROM removed WHERE removed_at < ? ORDER BY version DESC LIMIT 1",
		[]any{limit}, &last)
	if err != nil || !found {
		return err
	}
	if _, err := t.exec("UPDATE counters SET value = ? WHERE name = ? AND value < ?", last, counterPruned, last); err != nil {
		return err
	}
	_, err = t.exec("DELETE FROM removed WHERE version <= ?", last)
	return err
}
