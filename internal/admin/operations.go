package admin

import (
	"context"
	"strings"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

// Operation is a stored operation as an administrator sees it.
type Operation struct {
	ID            string     `json:"id"`
	Type          string     `json:"type"`
	Host          string     `json:"host"`
	State         string     `json:"state"`
	Total         int        `json:"total"`
	Done          int        `json:"done"`
	Failed        int        `json:"failed"`
	Error         string     `json:"error"`
	StopRequested bool       `json:"stopRequested"`
	Created       time.Time  `json:"created"`
	Updated       time.Time  `json:"updated"`
	FinishedAt    *time.Time `json:"finished"`
}

// Finished reports whether the operation has ended.
func (o Operation) Finished() bool { return directory.OperationState(o.State).Finished() }

func viewOperation(op directory.Operation) Operation {
	v := Operation{ID: op.ID, Type: op.Type, Host: op.Host, State: string(op.State), Total: op.Total, Done: op.Done,
		Failed: op.Failed, Error: op.Error, StopRequested: op.StopRequested, Created: op.Created, Updated: op.Updated}
	if !op.Finished.IsZero() {
		v.FinishedAt = &op.Finished
	}
	return v
}

// GetAllOperations gives the operations of every mailstore, the newest first.
func (a *Admin) GetAllOperations(ctx context.Context) ([]Operation, error) {
	stored, err := a.Operations.List(ctx, directory.OperationFilter{})
	if err != nil {
		return nil, err
	}
	all := make([]Operation, len(stored))
	for i, op := range stored {
		all[i] = viewOperation(op)
	}
	return all, nil
}

// GetOperation gives one operation.
func (a *Admin) GetOperation(ctx context.Context, id string) (Operation, error) {
	id, err := operationID(id)
	if err != nil {
		return Operation{}, err
	}
	op, err := a.Operations.Get(ctx, id)
	return viewOperation(op), err
}

func operationID(s string) (string, error) {
	id, err := account.ParseID(strings.TrimSpace(s))
	if err != nil {
		return "", fault.New(fault.Invalid, "%.100q is not the id of an operation", s).
			WithHint("core getAllOperations lists the operations")
	}
	return id.String(), nil
}

// Failure is an account that an operation failed for.
type Failure struct {
	AccountID   string `json:"accountId"`
	AccountName string `json:"accountName"`
	Reason      string `json:"reason"`
}

// GetFailures is what GetFailures takes.
type GetFailures struct {
	ID   string `json:"id"`
	From int    `json:"from"` // position; for pages
}

// Failures is a page of the accounts that an operation failed for.
type Failures struct {
	Values []Failure `json:"values"`
	Next   int       `json:"next"` // From of the next page; 0: this is the last
}

// GetFailures gives the accounts that an operation failed for so far.
func (a *Admin) GetFailures(ctx context.Context, in GetFailures) (Failures, error) {
	id, err := operationID(in.ID)
	if err != nil {
		return Failures{}, err
	}
	items, err := a.Operations.Items(ctx, id, directory.ItemFilter{State: directory.ItemFailed, From: in.From})
	if err != nil {
		return Failures{}, err
	}
	page := Failures{Values: make([]Failure, len(items))}
	for i, item := range items {
		page.Values[i] = Failure{AccountID: item.Account, AccountName: nameOf(a.copy, item.Account), Reason: item.Message}
		page.Next = item.Position + 1
	}
	if len(items) == 0 {
		page.Next = 0
	}
	return page, nil
}

// NameItems names the items of operations for a person, as the copy of the directory knows their accounts.
func NameItems(copied *directory.Copy) func(item string) string {
	return func(item string) string { return nameOf(copied, item) }
}

// nameOf names the account of an item, by its id if it is gone.
func nameOf(copied *directory.Copy, item string) string {
	if id, err := account.ParseID(item); err == nil {
		if one, known := copied.Account(id); known {
			return one.Name
		}
	}
	return item
}

// StopOperation asks for an operation to stop; what it did stays done.
func (a *Admin) StopOperation(ctx context.Context, id string) (Operation, error) {
	id, err := operationID(id)
	if err != nil {
		return Operation{}, err
	}
	op, err := a.Operations.Stop(ctx, id)
	return viewOperation(op), err
}

// RemoveOperation gives an operation up, also one whose mailstore will not come back.
func (a *Admin) RemoveOperation(ctx context.Context, id string) (Operation, error) {
	id, err := operationID(id)
	if err != nil {
		return Operation{}, err
	}
	op, err := a.Operations.Remove(ctx, id)
	return viewOperation(op), err
}

// Notification tells the global administrators of something.
type Notification struct {
	ID        string    `json:"id"`
	Server    string    `json:"server"`
	Date      time.Time `json:"date"`
	Type      string    `json:"type"`
	Subject   string    `json:"subject"`
	Operation string    `json:"operation"`
	Text      string    `json:"text"`
}

const notificationsToldMax = 1_000 // newest of them that a list has

// GetNotifications gives one notification, or without an id the newest.
func (a *Admin) GetNotifications(ctx context.Context, id string) ([]Notification, error) {
	if id == "" {
		stored, err := a.Directory.Notifications(ctx, notificationsToldMax)
		if err != nil {
			return nil, err
		}
		all := make([]Notification, len(stored))
		for i, n := range stored {
			all[i] = viewNotification(n)
		}
		return all, nil
	}
	parsed, err := account.ParseID(strings.TrimSpace(id))
	if err != nil {
		return nil, fault.New(fault.Invalid, "%.100q is not the id of a notification", id).
			WithHint("core getNotification lists the notifications")
	}
	n, err := a.Directory.Notification(ctx, parsed.String())
	if err != nil {
		return nil, err
	}
	return []Notification{viewNotification(n)}, nil
}

func viewNotification(n directory.Notification) Notification {
	return Notification{ID: n.ID, Server: n.Server, Date: n.Date, Type: string(n.Type), Subject: n.Subject,
		Operation: n.Operation, Text: n.Text}
}
