package admin

import (
	"context"
	"strings"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/operation"
	"mailreplica/internal/promotion"
)

// Pause pauses replication of accounts: their homes commit to a journal of their own until Restart, and a loss of the home
// then loses mail.
func (a *Admin) Pause(ctx context.Context, in Selection) (Started, error) {
	return a.setPaused(ctx, in, true, OperationPause)
}

// Restart ends a pause: the journal is published, then the log commits again.
func (a *Admin) Restart(ctx context.Context, in Selection) (Started, error) {
	return a.setPaused(ctx, in, false, OperationRestart)
}

func (a *Admin) setPaused(ctx context.Context, in Selection, paused bool, kind string) (Started, error) {
	chosen, err := a.choose(ctx, in,
		func(one *directory.Account) bool { return a.hasReplica(one.ID) || !paused && one.Paused },
		func(one directory.Account) error {
			if !a.hasReplica(one.ID) && !one.Paused {
				return noReplica(one)
			}
			return nil
		})
	if err != nil {
		return Started{}, err
	}
	err = a.writeEach(ctx, chosen, func(one directory.Account) error {
		_, err := a.Directory.SetPaused(ctx, one.ID, paused)
		return err
	})
	if err != nil {
		return Started{}, err
	}
	silent := a.tell(ctx, homesOf(chosen)...)
	return a.submit(ctx, operation.New{Type: kind, Accounts: ids(chosen)},
		silentNote(silent, "what it is home of follows when it returns"))
}

func noReplica(one directory.Account) error {
	return fault.New(fault.Invalid, "%s has no replica", one.Name).
		WithHint("make one with MailReplica setAccountDestination")
}

// ThreadsMax is how many accounts can be promoted side by side.
const ThreadsMax = promotion.ThreadsMax

// Promote is what Promote takes. Accounts are selected by name, by the mailstore that is their home, or both.
type Promote struct {
	Selection
	SourceMailHost string `json:"sourceMailHost,omitempty"`
	Destination    string `json:"destination,omitempty"` // empty: each account's replica of lowest priority value
	Threads        int    `json:"threads,omitempty"`     // accounts that are promoted side by side; 0: as many as is good
	AcceptLoss     bool   `json:"acceptLoss,omitempty"`
}

// Promote makes replicas the primaries. Which accounts can be promoted is found out by the operation, which tells of each
// that is refused why.
func (a *Admin) Promote(ctx context.Context, in Promote) (Started, error) {
	if in.Threads < 0 || in.Threads > ThreadsMax {
		return Started{}, fault.New(fault.Invalid, "threads is %d; want 1 to %d", in.Threads, ThreadsMax)
	}
	if err := in.both(); err != nil {
		return Started{}, err
	}
	if in.SourceMailHost == "" && !in.All && len(in.Accounts) == 0 {
		return Started{}, fault.New(fault.Invalid, "no account is selected").
			WithHint("add accounts A,B or input_file F or source_mail_host H, or all for every account with a replica")
	}
	if err := a.Follower.Poll(ctx); err != nil {
		return Started{}, err
	}
	source, destination, err := a.promotionHosts(in)
	if err != nil {
		return Started{}, err
	}
	selection := in.Selection
	if source != "" && len(selection.Accounts) == 0 {
		selection.All = true
	}
	everywhere := source == "" // an account of a lost source without a replica is to be told of, one elsewhere is not meant
	// One that is being deleted is promoted, too: if its home never returns, only another primary can end it.
	chosen, err := a.chooseAmong(ctx, selection,
		func(one *directory.Account) bool {
			return (everywhere && a.hasReplica(one.ID) || one.MailHost == source) && one.MailHost != destination
		},
		func(one directory.Account) error { return mayPromote(one, source, destination) })
	if err != nil {
		return Started{}, err
	}
	var notes []string
	if len(chosen) == 0 && source != "" {
		notes = append(notes, "no account has its home on "+source)
	}
	if in.AcceptLoss {
		notes = append(notes, lossNotes(chosen)...)
	}
	plan := promotion.Plan(chosen, promotion.Parameters{Destination: destination, Threads: in.Threads, AcceptLoss: in.AcceptLoss})
	return a.submit(ctx, plan, notes)
}

// lossNotes names what an administrator who accepts a loss may lose.
func lossNotes(chosen []directory.Account) []string {
	var names []string
	for _, one := range chosen {
		if one.Paused {
			names = append(names, one.Name+" ("+one.MailHost+")")
		}
	}
	if len(names) == 0 {
		return nil
	}
	more := ""
	if n := len(names) - problemsToldMax; n > 0 {
		more = ", and of " + count(n, "more account")
	}
	return []string{"replication is paused: what the home committed since the pause may be lost of " +
		strings.Join(names[:min(len(names), problemsToldMax)], ", ") + more}
}

func (a *Admin) promotionHosts(in Promote) (source, destination string, err error) {
	if in.SourceMailHost != "" {
		m, err := a.mailstore(in.SourceMailHost)
		if err != nil {
			return "", "", err
		}
		source = m.FQDN
	}
	if in.Destination != "" {
		m, err := a.mailstore(in.Destination)
		if err != nil {
			return "", "", err
		}
		destination = m.FQDN
	}
	if source != "" && source == destination {
		return "", "", fault.New(fault.Invalid, "%s is both source and destination", source).WithHint("choose another destination")
	}
	return source, destination, nil
}

func mayPromote(one directory.Account, source, destination string) error {
	switch {
	case destination != "" && one.MailHost == destination:
		return fault.New(fault.Invalid, "%s is the home of %s already", destination, one.Name).WithHint("leave the account out")
	case source != "" && one.MailHost != source:
		return fault.New(fault.Invalid, "the home of %s is %s, not %s", one.Name, one.MailHost, source).WithHint("leave the account out")
	}
	return nil
}

// Reseed is what Reseed takes.
type Reseed struct {
	Selection
	From string `json:"from"`
}

// Reseed declares the copies on one mailstore the primaries, whatever the log says; the other copies are made anew from them.
func (a *Admin) Reseed(ctx context.Context, in Reseed) (Started, error) {
	if err := a.Follower.Poll(ctx); err != nil {
		return Started{}, err
	}
	from, err := a.mailstore(in.From)
	if err != nil {
		return Started{}, err
	}
	if in.All {
		return Started{}, fault.New(fault.Invalid, "reseed does not take all: it overrules the log").
			WithHint("name the accounts with accounts A,B or input_file F")
	}
	if len(in.Accounts) == 0 {
		return Started{}, fault.New(fault.Invalid, "no account is selected").WithHint("add accounts A,B or input_file F")
	}
	// One that is being deleted is reseeded, too: if no copy has all that the log had, only such a primary can end it.
	chosen, err := a.chooseAmong(ctx, in.Selection, nil, func(one directory.Account) error {
		if !a.holds(one, from.FQDN) {
			return fault.New(fault.Invalid, "%s holds no copy of %s", from.FQDN, one.Name).
				WithHint("MailReplica getAccountStatus accounts %s shows its copies", one.Name)
		}
		return nil
	})
	if err != nil {
		return Started{}, err
	}
	return a.submit(ctx, operation.New{Type: OperationReseed, Accounts: ids(chosen),
		Parameters: destinationParameters{Destination: from.FQDN}}, nil)
}

// holds reports whether a mailstore is an account's home or has a replica of it.
func (a *Admin) holds(one directory.Account, fqdn string) bool {
	_, has := a.replica(one.ID, fqdn)
	return has || one.MailHost == fqdn
}
