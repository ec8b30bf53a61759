package directory

import (
	"context"
	"strings"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
)

// Kind tells accounts from distribution lists, which share the names.
type Kind string

// The kinds.
const (
	User Kind = "user"
	List Kind = "list"
)

// Status is what an administrator set an account to.
type Status string

// The statuses: locked receives but cannot log in; maintenance and closed do neither, for a while and for good.
const (
	Active      Status = "active"
	Locked      Status = "locked"
	Maintenance Status = "maintenance"
	Closed      Status = "closed"
)

func (s Status) known() bool { return s == Active || s == Locked || s == Maintenance || s == Closed }

// ParseStatus reads a status; anything else is Invalid.
func ParseStatus(s string) (Status, error) {
	if status := Status(strings.ToLower(s)); status.known() {
		return status, nil
	}
	return "", fault.New(fault.Invalid, "%q is not a status: want active, locked, maintenance or closed", s)
}

// Account is a user, or a distribution list.
type Account struct {
	ID           account.ID
	Name         string // local@domain, as account.ParseName gives it
	Kind         Kind
	PasswordHash string // of package credential; empty: nobody can log in
	Status       Status
	MailHost     string // FQDN of the home; empty for a list
	Epoch        uint64 // of the log, as MailHost
	GlobalAdmin  bool
	ClusterID    string   // of the event log that the account was opened in; empty: none
	TopicID      [16]byte // as ClusterID
	Stream       int32    // partition of that topic; -1: none
	Paused       bool     // wish: replication is to pause
	Deleting     bool     // wish: the account is to end; its name is still taken
	Created      time.Time
	Version      int64
}

// NewAccount is what CreateAccount is told.
type NewAccount struct {
	Name         string
	PasswordHash string
	MailHost     string // empty: the mailstore with the fewest accounts, of those that run
	GlobalAdmin  bool
	Status       Status // empty: active
}

// CreateAccount makes an account with a new id. A name that an account or a list has, also one that is being deleted,
// is Exists; an unknown mailstore is NotFound.
func (d *Directory) CreateAccount(ctx context.Context, n NewAccount) (Account, error) {
	a := Account{Name: n.Name, Kind: User, PasswordHash: n.PasswordHash, MailHost: n.MailHost, GlobalAdmin: n.GlobalAdmin,
		Status: n.Status}
	if a.Status == "" {
		a.Status = Active
	}
	if _, err := ParseStatus(string(a.Status)); err != nil {
		return Account{}, err
	}
	return d.create(ctx, a)
}

// CreateList makes a distribution list: a name that is no account, so that commands can refuse it as what it is.
func (d *Directory) CreateList(ctx context.Context, name string) (Account, error) {
	return d.create(ctx, Account{Name: name, Kind: List, Status: Active})
}

func (d *Directory) create(ctx context.Context, a Account) (Account, error) {
	name, err := account.ParseName(a.Name)
	if err != nil {
		return Account{}, err
	}
	a.ID, a.Name, a.Stream = account.NewID(), name, -1
	var made Account
	err = d.store.write(ctx, func(t *tx) error {
		made = a
		made.Created = t.now.UTC().Truncate(time.Millisecond)
		if taken, found, err := t.accountByName(name); err != nil {
			return err
		} else if found {
			return nameTaken(taken)
		}
		if err := t.chooseHome(&made); err != nil {
			return err
		}
		var err error
		if made.Version, err = t.next(); err != nil {
			return err
		}
		return t.putAccount(made)
	})
	if err != nil {
		return Account{}, err
	}
	return made, nil
}

func nameTaken(by Account) error {
	switch {
	case by.Deleting:
		return fault.New(fault.Exists, "the account %s is still being deleted", by.Name).
			WithHint("the name is free when its home %s has ended it, or another copy was promoted and has", by.MailHost)
	case by.Kind == List:
		return fault.New(fault.Exists, "there is a distribution list %s already", by.Name)
	}
	return fault.New(fault.Exists, "there is an account %s already", by.Name)
}

// chooseHome checks the mailstore asked for, or takes the one with the fewest accounts, the first of several. One that does not
// run is taken only if none does: after its accounts were promoted elsewhere, a dead mailstore would be home of all new ones.
func (t *tx) chooseHome(a *Account) error {
	if a.Kind == List {
		return nil
	}
	if a.MailHost != "" {
		return t.mustKnowMailstore(a.MailHost)
	}
	found, err := t.row(`SELECT m.fqdn FROM mailstores m LEFT JOIN accounts a ON a.mail_host = m.fqdn
		GROUP BY m.fqdn ORDER BY m.seen_at <= ?, COUNT(a.id), m.fqdn LIMIT 1`,
		[]any{millis(t.now.Add(-IncarnationLiveFor))}, &a.MailHost)
	if err == nil && !found {
		err = fault.New(fault.NotFound, "there is no mailstore yet").WithHint("start a mailstore first")
	}
	return err
}

// Account gives an account or a list by id; an unknown one is NotFound.
func (d *Directory) Account(ctx context.Context, id account.ID) (Account, error) {
	var a Account
	err := d.store.read(ctx, func(q *query) (err error) {
		a, err = q.mustKnowAccount(id)
		return err
	})
	return a, err
}

// CountByHome gives the number of accounts, lists aside, that each mailstore is home of.
func (d *Directory) CountByHome(ctx context.Context) (map[string]int, error) {
	type home struct {
		fqdn  string
		count int
	}
	var homes []home
	err := d.store.read(ctx, func(q *query) (err error) {
		homes, err = rows(q, func(row scanner) (home, error) {
			var h home
			err := row.Scan(&h.fqdn, &h.count)
			return h, err
		}, `SELECT m.fqdn, COUNT(a.id) FROM mailstores m LEFT JOIN accounts a ON a.mail_host = m.fqdn GROUP BY m.fqdn`)
		return err
	})
	counts := make(map[string]int, len(homes))
	for _, h := range homes {
		counts[h.fqdn] = h.count
	}
	return counts, err
}
