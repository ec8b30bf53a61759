package admin

import (
	"context"
	"strings"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/credential"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/operation"
)

const (
	mailboxWait     = 3 * time.Second // for the mailbox of a new account
	changeTriesMax  = 5               // of a change that others come before
	mailboxLookWait = 20 * time.Millisecond
)

// CreateAccount is what CreateAccount takes.
type CreateAccount struct {
	Name     string `json:"name"`
	Password string `json:"password"`
	MailHost string `json:"mailHost,omitempty"` // empty: the mailstore with the fewest accounts
}

// Account is an account as an administrator sees it.
type Account struct {
	ID            string    `json:"id"`
	Name          string    `json:"name"`
	MailHost      string    `json:"mailHost"`
	Status        string    `json:"status"`
	IsGlobalAdmin bool      `json:"isGlobalAdmin"`
	Paused        bool      `json:"paused"`
	Deleting      bool      `json:"deleting"`
	Created       time.Time `json:"created"`
	Replicas      []Replica `json:"replicas,omitempty"`
	Notes         []string  `json:"notes,omitempty"`
	Kind          string    `json:"kind"`
}

// Replica is a replica as the directory knows it.
type Replica struct {
	Destination string `json:"destination"`
	Priority    int    `json:"priority"`
	State       string `json:"state"`
}

func (a *Admin) view(one directory.Account) Account {
	v := Account{ID: one.ID.String(), Name: one.Name, MailHost: one.MailHost, Status: string(one.Status), Kind: string(one.Kind),
		IsGlobalAdmin: one.GlobalAdmin, Paused: one.Paused, Deleting: one.Deleting, Created: one.Created}
	for _, r := range a.copy.Replicas(one.ID) {
		v.Replicas = append(v.Replicas, Replica{Destination: r.Mailstore, Priority: r.Priority, State: stateOf(r)})
	}
	return v
}

func stateOf(r directory.Replica) string {
	if r.Removing {
		return "removing"
	}
	return string(r.State)
}

// CreateAccount makes an account and waits until its mailbox is there, so that mail can be delivered at once.
func (a *Admin) CreateAccount(ctx context.Context, in CreateAccount) (Account, error) {
	hash, err := credential.Hash(in.Password)
	if err != nil {
		return Account{}, err
	}
	made, err := a.Directory.CreateAccount(ctx, directory.NewAccount{
		Name: in.Name, PasswordHash: hash, MailHost: strings.ToLower(in.MailHost),
	})
	if err != nil {
		return Account{}, err
	}
	silent := a.tell(ctx, a.allMailstores()...)
	v := a.view(made)
	if silent[made.MailHost] != nil {
		v.Notes = append(v.Notes, made.MailHost+" does not answer: the account is made, its mailbox when that mailstore returns")
	} else if !a.awaitMailbox(ctx, made.ID, silent) {
		v.Notes = append(v.Notes, made.MailHost+" has not made the mailbox yet; it will, and mail is deferred until then")
	}
	return v, nil
}

// awaitMailbox waits until the account's home has made its mailbox: it tells the directory its first epoch then.
func (a *Admin) awaitMailbox(ctx context.Context, id account.ID, silent map[string]error) bool {
	var answering []string // the others are not waited for again
	for _, fqdn := range a.allMailstores() {
		if silent[fqdn] == nil {
			answering = append(answering, fqdn)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, mailboxWait)
	defer cancel()
	ticker := time.NewTicker(mailboxLookWait)
	defer ticker.Stop()
	for {
		if one, err := a.Directory.Account(ctx, id); err == nil && one.Epoch > 0 {
			a.tell(ctx, answering...) // they then know that it can be delivered to
			return true
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false
		}
	}
}

// GetAccount finds an account, or a distribution list.
func (a *Admin) GetAccount(ctx context.Context, name string) (Account, error) {
	if err := a.Follower.Poll(ctx); err != nil {
		return Account{}, err
	}
	one, err := a.find(name)
	if err != nil {
		return Account{}, err
	}
	return a.view(one), nil
}

// ModifyAccount is what ModifyAccount takes. Fields that are nil stay.
type ModifyAccount struct {
	Name          string  `json:"name"` // or id
	Status        *string `json:"status,omitempty"`
	Password      *string `json:"password,omitempty"`
	IsGlobalAdmin *bool   `json:"isGlobalAdmin,omitempty"`
}

// ModifyAccount changes an account. Sessions that a new status or password ends, end at once.
func (a *Admin) ModifyAccount(ctx context.Context, in ModifyAccount) (Account, error) {
	var u directory.AccountUpdate
	if in.Status == nil && in.Password == nil && in.IsGlobalAdmin == nil {
		return Account{}, fault.New(fault.Invalid, "nothing is to be changed").
			WithHint("add status, password or isGlobalAdmin with its new value")
	}
	if in.Status != nil {
		status, err := directory.ParseStatus(*in.Status)
		if err != nil {
			return Account{}, err
		}
		u.Status = &status
	}
	if in.Password != nil {
		hash, err := credential.Hash(*in.Password)
		if err != nil {
			return Account{}, err
		}
		u.PasswordHash = &hash
	}
	u.GlobalAdmin = in.IsGlobalAdmin
	changed, err := a.update(ctx, in.Name, u)
	if err != nil {
		return Account{}, err
	}
	a.tell(ctx, a.allMailstores()...) // any of them may have sessions, and checks passwords
	return a.view(changed), nil
}

// update repeats the change on what others have made of the account meanwhile.
func (a *Admin) update(ctx context.Context, name string, u directory.AccountUpdate) (directory.Account, error) {
	var changed directory.Account
	for range changeTriesMax {
		if err := a.Follower.Poll(ctx); err != nil {
			return changed, err
		}
		one, err := a.user(name)
		if err == nil && one.Deleting {
			err = beingDeleted(one)
		}
		if err != nil {
			return changed, err
		}
		changed, err = a.Directory.UpdateAccount(ctx, one.ID, one.Version, u)
		if !fault.Is(err, fault.Busy) {
			return changed, err
		}
	}
	return changed, fault.New(fault.Busy, "the account %s is being changed by others all the time", name)
}

// DeleteAccount ends an account and every copy of it. The end is a record of the log, so its home has to be there; if it is
// not, the account is ended when the home returns or another copy is promoted.
func (a *Admin) DeleteAccount(ctx context.Context, name string) (Started, error) {
	if err := a.Follower.Poll(ctx); err != nil {
		return Started{}, err
	}
	one, err := a.find(name)
	if err != nil {
		return Started{}, err
	}
	if one.Deleting {
		return Started{}, fault.New(fault.Exists, "the account %s is being deleted already", one.Name).
			WithHint("it ends when its home %s answers, or when another copy is promoted", one.MailHost)
	}
	if one, err = a.Directory.BeginDelete(ctx, one.ID); err != nil {
		return Started{}, err
	}
	silent := a.tell(ctx, a.allMailstores()...)
	if one.Kind == directory.List {
		return Started{Accounts: 1}, nil
	}
	if silent[one.MailHost] != nil {
		return Started{Accounts: 1, Pending: 1, Notes: []string{one.Name + " is marked for deletion, but its home " + one.MailHost +
			" does not answer: it ends when that mailstore returns or another copy is promoted; its name is taken until then"}}, nil
	}
	return a.submit(ctx, operation.New{Type: OperationDelete, Accounts: ids([]directory.Account{one})}, nil)
}

// ListAccounts chooses accounts of GetAllAccounts; empty fields choose all.
type ListAccounts struct {
	MailHost []string `json:"mailHost,omitempty"`
	Domains  []string `json:"domains,omitempty"`
}

// GetAllAccounts gives accounts, distribution lists aside, by name.
func (a *Admin) GetAllAccounts(ctx context.Context, in ListAccounts) ([]Account, error) {
	if err := a.Follower.Poll(ctx); err != nil {
		return nil, err
	}
	homes, err := a.mailstores(in.MailHost)
	if err != nil {
		return nil, err
	}
	domains := lowerSet(in.Domains)
	chosen := a.copy.Accounts(func(one *directory.Account) bool {
		return one.Kind == directory.User && (len(homes) == 0 || homes[one.MailHost]) &&
			(len(domains) == 0 || domains[account.Domain(one.Name)])
	})
	all := make([]Account, len(chosen))
	for i, one := range chosen {
		all[i] = a.view(one)
	}
	return all, nil
}

// CreateList makes a distribution list: a name that commands can refuse as what it is.
func (a *Admin) CreateList(ctx context.Context, name string) (Account, error) {
	made, err := a.Directory.CreateList(ctx, name)
	if err != nil {
		return Account{}, err
	}
	a.tell(ctx, a.allMailstores()...)
	return a.view(made), nil
}

func lowerSet(values []string) map[string]bool {
	set := make(map[string]bool, len(values))
	for _, v := range values {
		set[strings.ToLower(strings.TrimSpace(v))] = true
	}
	return set
}

func ids(accounts []directory.Account) []string {
	all := make([]string, len(accounts))
	for i, one := range accounts {
		all[i] = one.ID.String()
	}
	return all
}
