package admin

import (
	"context"
	"errors"
	"strings"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

// Selection names the accounts of a command. Nothing selected is an error, never "all".
type Selection struct {
	All      bool     `json:"all,omitempty"`
	Accounts []string `json:"accounts,omitempty"` // names or ids
	File     string   `json:"file,omitempty"`     // that the last of Accounts were read from, as many as Lines has
	Lines    []int    `json:"lines,omitempty"`    // their lines in File, so that errors can tell them
}

// located puts the line of the file in front of what is wrong with an account.
func (s Selection) located(i int, err error) error {
	if i -= len(s.Accounts) - len(s.Lines); i < 0 || len(s.Lines) > len(s.Accounts) {
		return err
	}
	return fault.Wrap(fault.KindOf(err), errors.Unwrap(err), "%s line %d: %s", s.File, s.Lines[i], fault.Message(err)).WithHint("%s", fault.HintOf(err))
}

// both refuses all together with a list: one of them is not meant.
func (s Selection) both() error {
	if s.All && len(s.Accounts) > 0 {
		return fault.New(fault.Invalid, "all and a list of accounts are both given").WithHint("give one of them")
	}
	return nil
}

func (s Selection) check() error {
	if !s.All && len(s.Accounts) == 0 {
		return fault.New(fault.Invalid, "no account is selected").
			WithHint("add accounts A,B or input_file F, or all for every account that the command fits")
	}
	return s.both()
}

// problemsToldMax is how many accounts that are wrong one message names.
const problemsToldMax = 3

// choose gives the accounts that a selection names, each checked, or, for all, every user for which fits holds. If any
// that is named is wrong, the error says so and nothing may be changed. Accounts that are being deleted are wrong.
func (a *Admin) choose(ctx context.Context, s Selection, fits func(*directory.Account) bool,
	check func(directory.Account) error) ([]directory.Account, error) {
	return a.chooseAmong(ctx, s,
		func(one *directory.Account) bool { return !one.Deleting && fits(one) },
		func(one directory.Account) error {
			if one.Deleting {
				return beingDeleted(one)
			}
			return check(one)
		})
}

func beingDeleted(one directory.Account) error {
	return fault.New(fault.Invalid, "the account %s is being deleted", one.Name).WithHint("leave it out")
}

// chooseAmong is choose for commands that mean accounts which are being deleted, too.
func (a *Admin) chooseAmong(ctx context.Context, s Selection, fits func(*directory.Account) bool,
	check func(directory.Account) error) ([]directory.Account, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if err := a.Follower.Poll(ctx); err != nil { // the copy is then what the directory is
		return nil, err
	}
	if s.All {
		return a.copy.Accounts(func(one *directory.Account) bool {
			return one.Kind == directory.User && fits(one)
		}), nil
	}
	chosen := make([]directory.Account, 0, len(s.Accounts))
	seen := make(map[account.ID]bool, len(s.Accounts))
	var problems []error
	for i, entry := range s.Accounts {
		one, err := a.user(entry)
		if err == nil {
			err = check(one)
		}
		if err != nil {
			problems = append(problems, s.located(i, err))
			continue
		}
		if !seen[one.ID] { // named by name and by id
			seen[one.ID] = true
			chosen = append(chosen, one)
		}
	}
	return chosen, together(problems)
}

// together makes one line of several errors.
func together(problems []error) error {
	switch len(problems) {
	case 0:
		return nil
	case 1:
		return problems[0]
	}
	var texts []string
	for _, err := range problems[:min(len(problems), problemsToldMax)] {
		texts = append(texts, fault.Message(err))
	}
	text := strings.Join(texts, "; ")
	if more := len(problems) - problemsToldMax; more > 0 {
		return fault.New(fault.KindOf(problems[0]), "%s; and %d more are wrong", text, more).
			WithHint("%s", fault.HintOf(problems[0]))
	}
	return fault.New(fault.KindOf(problems[0]), "%s", text).WithHint("%s", fault.HintOf(problems[0]))
}

// user finds an account of the copy, and refuses what is none: patterns and lists.
func (a *Admin) user(entry string) (directory.Account, error) {
	one, err := a.find(entry)
	switch {
	case err != nil:
		return one, err
	case one.Kind == directory.List:
		return one, fault.New(fault.Invalid, "%s is a distribution list, not an account", one.Name).
			WithHint("name the accounts one by one")
	}
	return one, nil
}

// find finds an account or a list of the copy by name or id.
func (a *Admin) find(entry string) (directory.Account, error) {
	entry, err := account.ParseEntry(entry)
	if err != nil {
		return directory.Account{}, err
	}
	var one directory.Account
	var known bool
	if id, err := account.ParseID(entry); err == nil {
		one, known = a.copy.Account(id)
	} else {
		one, known = a.copy.AccountByName(entry)
	}
	if !known {
		return one, fault.New(fault.NotFound, "there is no account %s", entry).
			WithHint("check the name; prov getAllAccounts lists the accounts")
	}
	return one, nil
}

// mailstore finds a mailstore of the copy.
func (a *Admin) mailstore(fqdn string) (directory.Mailstore, error) {
	m, known := a.copy.Mailstore(strings.ToLower(strings.TrimSpace(fqdn)))
	if !known {
		return m, noMailstore(fqdn)
	}
	return m, nil
}

// mailstores finds several, and gives their names as the directory has them.
func (a *Admin) mailstores(fqdns []string) (map[string]bool, error) {
	set := make(map[string]bool, len(fqdns))
	for _, fqdn := range fqdns {
		m, err := a.mailstore(fqdn)
		if err != nil {
			return nil, err
		}
		set[m.FQDN] = true
	}
	return set, nil
}

// replica gives an account's replica on a mailstore.
func (a *Admin) replica(id account.ID, fqdn string) (directory.Replica, bool) {
	for _, r := range a.copy.Replicas(id) {
		if r.Mailstore == fqdn {
			return r, true
		}
	}
	return directory.Replica{}, false
}

// hasReplica reports whether an account has a replica that is to stay.
func (a *Admin) hasReplica(id account.ID) bool {
	for _, r := range a.copy.Replicas(id) {
		if !r.Removing {
			return true
		}
	}
	return false
}
