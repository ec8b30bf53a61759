package metadata

import (
	"context"
	"slices"
	"time"
)

// RemoveMailbox removes a mailbox. With its row it is gone, and its account may get another one at once; its other rows,
// however many, are removed bit by bit afterwards, by the sweep, which also goes on with what a process that died had begun.
func (tx *Tx) RemoveMailbox(mailboxID int64) error {
	n, err := tx.exec("DELETE FROM mailbox WHERE mailbox_id = ?", mailboxID)
	if err != nil {
		return err
	}
	if n == 0 {
		return tx.note(noMailbox(mailboxID))
	}
	tx.chill(mailboxID)
	delete(tx.tx.due, mailboxID)
	tx.removed = true
	_, err = tx.exec("INSERT INTO removal (mailbox_id) VALUES (?)", mailboxID)
	return err
}

const (
	sweepRows       = 250             // removed by one transaction: about as long as a group of deliveries takes
	sweepRetryAfter = 1 * time.Minute // the database was full, perhaps
)

func (s *Store) wakeSweep() {
	select {
	case s.sweep <- struct{}{}:
	default:
	}
}

func (s *Store) sweepLoop() {
	retry := time.NewTimer(sweepRetryAfter)
	defer retry.Stop()
	for {
		select {
		case <-s.sweep:
		case <-retry.C:
		case <-s.closing:
			return
		}
		retry.Stop()
		if err := s.sweepAll(); err != nil && !s.isClosing() {
			s.logger.Error("rows of removed mailboxes stay for now", "error", err)
			retry.Reset(sweepRetryAfter)
		}
	}
}

func (s *Store) sweepAll() error {
	for {
		more, err := s.sweepSome(context.Background())
		if err != nil || !more {
			return err
		}
	}
}

func (s *Store) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// sweepSome removes some rows of one removed mailbox, and says whether there may be more.
func (s *Store) sweepSome(ctx context.Context) (more bool, err error) {
	err = s.Update(ctx, Lazy, func(tx *Tx) error {
		var id int64
		more, err = tx.one("SELECT mailbox_id FROM removal ORDER BY mailbox_id LIMIT 1", nil, &id)
		if err != nil || !more {
			return err
		}
		var one int64
		ended, err := tx.one("SELECT 1 FROM ended WHERE mailbox_id = ?", []any{id}, &one)
		if err != nil {
			return err
		}
		for _, t := range tablesOf(s.dialect) {
			if ended && slices.Contains(blobTables, t) {
				continue // until the blobs have been removed
			}
			n, err := tx.exec(s.dialect.deleteSome(t), id, int64(sweepRows))
			if err != nil || n > 0 {
				return err
			}
		}
		_, err = tx.exec("DELETE FROM removal WHERE mailbox_id = ?", id)
		return err
	})
	return more, err
}
