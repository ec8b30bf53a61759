package directory

import (
	"context"
	"time"

	"mailreplica/internal/fault"
)

// NotificationType is how much a notification matters.
type NotificationType string

// The types.
const (
	Information NotificationType = "Information"
	Warning     NotificationType = "Warning"
	Error       NotificationType = "Error"
	Critical    NotificationType = "Critical"
)

func (t NotificationType) known() bool {
	return t == Information || t == Warning || t == Error || t == Critical
}

// Limits of a notification; what is longer is cut.
const (
	NotificationSubjectBytesMax = 256
	NotificationTextBytesMax    = 64 << 10
)

// Notification tells the global administrators of something.
type Notification struct {
	ID        string // UUID; made by the directory
	Operation string // id of the operation whose end it tells; empty: none
	Server    string // FQDN of the mailstore that tells it
	Date      time.Time
	Type      NotificationType
	Subject   string
	Text      string
}

const notificationColumns = "id, COALESCE(operation_id, ''), server, created_at, type, subject, body"

// AddNotification stores a notification with a new id and the present time.
func (d *Directory) AddNotification(ctx context.Context, n Notification) (Notification, error) {
	n.Operation = ""
	err := d.store.write(ctx, func(t *tx) error { return t.insertNotification(&n) })
	return n, err
}

// Notifications gives notifications, the newest first; at most limit of them, if that is above 0.
func (d *Directory) Notifications(ctx context.Context, limit int) ([]Notification, error) {
	text, args := "SELECT "+notificationColumns+" FROM notifications ORDER BY created_at DESC, id", []any{}
	if limit > 0 {
		text, args = text+" LIMIT ?", append(args, limit)
	}
	var all []Notification
	err := d.store.read(ctx, func(q *query) (err error) {
		all, err = rows(q, scanNotification, text, args...)
		return err
	})
	return all, err
}

// Notification gives one notification; an unknown one is NotFound.
func (d *Directory) Notification(ctx context.Context, id string) (Notification, error) {
	var n Notification
	err := d.store.read(ctx, func(q *query) error {
		found, err := rows(q, scanNotification, "SELECT "+notificationColumns+" FROM notifications WHERE id = ?", id)
		if err == nil && len(found) == 0 {
			err = fault.New(fault.NotFound, "there is no notification %s", id).WithHint("core getNotification lists the notifications")
		}
		if err == nil {
			n = found[0]
		}
		return err
	})
	return n, err
}

func (t *tx) insertNotification(n *Notification) error {
	n.Subject, n.Text = clip(n.Subject, NotificationSubjectBytesMax), clip(n.Text, NotificationTextBytesMax)
	n.ID, n.Date = newID(), t.now.UTC().Truncate(time.Millisecond)
	var operation any
	if n.Operation != "" {
		operation = n.Operation
	}
	_, err := t.exec(`INSERT INTO notifications (id, operation_id, server, created_at, type, subject, body)
		VALUES (?, ?, ?, ?, ?, ?, ?)`, n.ID, operation, n.Server, millis(n.Date), string(n.Type), n.Subject, n.Text)
	return err
}

func scanNotification(row scanner) (Notification, error) {
	var n Notification
	var date int64
	err := row.Scan(&n.ID, &n.Operation, &n.Server, &date, &n.Type, &n.Subject, &n.Text)
	if err != nil {
		return n, err
	}
	n.Date = fromMillis(date)
	return n, sound("notification", n.ID, claim{"created_at", isTime(date)}, claim{"type", n.Type.known()})
}
