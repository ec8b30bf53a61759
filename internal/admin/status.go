package admin

import (
	"context"
	"slices"
	"strings"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/peer"
)

// AccountStatus is where an account and its copies stand. What only its home could tell is nil if that does not answer. The
// first seven fields are the operator's surface; the others help to find out why something is as it is.
type AccountStatus struct {
	AccountID       string          `json:"accountId"`
	AccountName     string          `json:"accountName"`
	AccountMailHost string          `json:"accountMailHost"`
	Paused          bool            `json:"paused"`
	MailboxID       *int64          `json:"mailboxId"`
	Sequence        *uint64         `json:"sequence"`
	ItemID          *uint64         `json:"itemId"`
	Details         *Details        `json:"details,omitempty"`
	Replicas        []ReplicaStatus `json:"replicas"`
}

// ReplicaStatus is where a replica stands. What only its mailstore could tell is nil if that does not answer.
type ReplicaStatus struct {
	AccountID         string   `json:"accountId"`
	ItemID            *uint64  `json:"itemId"`
	Sequence          *uint64  `json:"sequence"`
	MailboxID         *int64   `json:"mailboxId"`
	Destination       string   `json:"destination"`
	Available         bool     `json:"available"`
	Priority          int      `json:"priority"`
	CanConnectToKafka *bool    `json:"canConnectToKafka"`
	State             string   `json:"state"` // as the directory has it
	Details           *Details `json:"details,omitempty"`
}

// Details are what a mailstore tells of a copy beyond the operator's surface.
type Details struct {
	Condition string `json:"condition"`
	Mode      string `json:"mode"`
	Epoch     uint64 `json:"epoch"`
	Digest    string `json:"digest"`
	Journal   int    `json:"journal"`
	Messages  uint64 `json:"messages"`
	Bytes     uint64 `json:"bytes"`
}

// GetStatus chooses accounts of GetAccountStatus: all filters must hold. Without any it means every account with a replica.
type GetStatus struct {
	Selection
	MailHost      []string `json:"mailHost,omitempty"`
	ReplicaServer []string `json:"replicaServer,omitempty"`
	Domains       []string `json:"domains,omitempty"`
	AccountStatus string   `json:"accountStatus,omitempty"` // active or paused
	ReplicaStatus string   `json:"replicaStatus,omitempty"` // available or unavailable
}

// AccountStatuses is the answer of GetAccountStatus.
type AccountStatuses struct {
	Values []AccountStatus `json:"values"`
	Notes  []string        `json:"notes,omitempty"`
}

func (in GetStatus) check() error {
	if err := in.both(); err != nil {
		return err
	}
	if in.AccountStatus != "" && in.AccountStatus != "active" && in.AccountStatus != "paused" {
		return fault.New(fault.Invalid, "accountStatus is %q; want active or paused", in.AccountStatus)
	}
	if in.ReplicaStatus != "" && in.ReplicaStatus != "available" && in.ReplicaStatus != "unavailable" {
		return fault.New(fault.Invalid, "replicaStatus is %q; want available or unavailable", in.ReplicaStatus)
	}
	return nil
}

// GetAccountStatus tells where accounts and their copies stand, within peer.StatusWait, whoever does not answer. It works
// without the directory, from this mailstore's copy of it.
func (a *Admin) GetAccountStatus(ctx context.Context, in GetStatus) (AccountStatuses, error) {
	in.AccountStatus, in.ReplicaStatus = strings.ToLower(in.AccountStatus), strings.ToLower(in.ReplicaStatus)
	if err := in.check(); err != nil {
		return AccountStatuses{}, err
	}
	var out AccountStatuses
	polling, cancel := context.WithTimeout(ctx, nudgeWait)
	defer cancel()
	if err := a.Follower.Poll(polling); err != nil {
		out.Notes = append(out.Notes, "the directory does not answer: this is what "+a.Self+" last knew")
	}
	chosen, err := a.chooseStatus(in)
	if err != nil {
		return AccountStatuses{}, err
	}
	wanted := make(map[string][]account.ID)
	for _, one := range chosen {
		wanted[one.MailHost] = append(wanted[one.MailHost], one.ID)
		for _, r := range a.copy.Replicas(one.ID) {
			wanted[r.Mailstore] = append(wanted[r.Mailstore], one.ID)
		}
	}
	told := tellings(a.ask(ctx, wanted))
	out.Values = make([]AccountStatus, 0, len(chosen))
	for _, one := range chosen {
		if s := a.status(one, told); in.keeps(&s) {
			out.Values = append(out.Values, s)
		}
	}
	return out, nil
}

// chooseStatus applies the filters that need no answer of a mailstore.
func (a *Admin) chooseStatus(in GetStatus) ([]directory.Account, error) {
	homes, err := a.mailstores(in.MailHost)
	if err != nil {
		return nil, err
	}
	servers, err := a.mailstores(in.ReplicaServer)
	if err != nil {
		return nil, err
	}
	domains := lowerSet(in.Domains)
	fits := func(one *directory.Account) bool {
		return (len(homes) == 0 || homes[one.MailHost]) &&
			(len(domains) == 0 || domains[account.Domain(one.Name)]) &&
			(len(servers) == 0 || a.isOnAny(one.ID, servers))
	}
	if len(in.Accounts) > 0 { // one without a replica is shown if it is asked for by name
		named, err := a.named(in.Selection)
		return slices.DeleteFunc(named, func(one directory.Account) bool { return !fits(&one) }), err
	}
	return a.copy.Accounts(func(one *directory.Account) bool {
		return one.Kind == directory.User && fits(one) && len(a.copy.Replicas(one.ID)) > 0
	}), nil
}

// named are the accounts of a selection, each once, by name. They are looked up, however many others there are.
func (a *Admin) named(s Selection) ([]directory.Account, error) {
	var all []directory.Account
	var problems []error
	for i, entry := range s.Accounts {
		one, err := a.user(entry)
		if err != nil {
			problems = append(problems, s.located(i, err))
			continue
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(x, y directory.Account) int { return strings.Compare(x.Name, y.Name) })
	return slices.CompactFunc(all, func(x, y directory.Account) bool { return x.ID == y.ID }), together(problems)
}

func (a *Admin) isOnAny(id account.ID, servers map[string]bool) bool {
	for _, r := range a.copy.Replicas(id) {
		if servers[r.Mailstore] {
			return true
		}
	}
	return false
}

// keeps applies the filters on what the mailstores told. Replicas that replicaStatus does not want are left out, and an
// account without one that it wants.
func (in GetStatus) keeps(s *AccountStatus) bool {
	if in.AccountStatus != "" && s.Paused != (in.AccountStatus == "paused") {
		return false
	}
	if in.ReplicaStatus == "" {
		return true
	}
	kept := s.Replicas[:0]
	for _, r := range s.Replicas {
		if r.Available == (in.ReplicaStatus == "available") {
			kept = append(kept, r)
		}
	}
	s.Replicas = kept
	return len(kept) > 0
}

// telling is what one mailstore answered.
type telling struct {
	logReachable bool
	copies       map[account.ID]peer.CopyStatus
}

func tellings(answers map[string]peer.Status) map[string]telling {
	told := make(map[string]telling, len(answers))
	for fqdn, status := range answers {
		t := telling{logReachable: status.LogReachable, copies: make(map[account.ID]peer.CopyStatus, len(status.Copies))}
		for _, c := range status.Copies {
			t.copies[c.Account] = c
		}
		told[fqdn] = t
	}
	return told
}

func (a *Admin) status(one directory.Account, told map[string]telling) AccountStatus {
	s := AccountStatus{AccountID: one.ID.String(), AccountName: one.Name, AccountMailHost: one.MailHost, Paused: one.Paused,
		Replicas: []ReplicaStatus{}}
	if c, ok := told[one.MailHost].copies[one.ID]; ok {
		s.MailboxID, s.Sequence, s.ItemID = &c.MailboxID, (*uint64)(&c.Sequence), (*uint64)(&c.ItemID)
		s.Details, s.Paused = details(c), c.Mode == modePaused
	}
	for _, r := range a.copy.Replicas(one.ID) {
		v := ReplicaStatus{AccountID: s.AccountID, Destination: r.Mailstore, Priority: r.Priority, State: stateOf(r)}
		if t, answers := told[r.Mailstore]; answers {
			v.CanConnectToKafka = &t.logReachable
			if c, ok := t.copies[one.ID]; ok {
				v.MailboxID, v.Sequence, v.ItemID, v.Details = &c.MailboxID, (*uint64)(&c.Sequence), (*uint64)(&c.ItemID), details(c)
				v.Available = r.State == directory.Available && !r.Removing && c.Condition == conditionComplete
			}
		}
		s.Replicas = append(s.Replicas, v)
	}
	return s
}

// conditionComplete is the one condition in which a copy can be promoted, as the peer API names it.
const conditionComplete = "complete"

func details(c peer.CopyStatus) *Details {
	return &Details{Condition: c.Condition, Mode: c.Mode, Epoch: c.Epoch, Digest: c.Digest, Journal: c.Journal,
		Messages: c.Messages, Bytes: c.Bytes}
}
