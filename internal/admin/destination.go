package admin

import (
	"context"
	"time"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/operation"
)

// PriorityMax is the highest priority value of a replica; 0 is the lowest, and promoted first.
const PriorityMax = 1_000_000

// SetDestination is what SetDestination takes.
type SetDestination struct {
	Selection
	Destination string `json:"destination"`
	Priority    int    `json:"priority"`
}

// SetDestination wishes for replicas on a mailstore, or for another priority of those that are there. It changes nothing
// unless everything that it needs is in order for every account.
func (a *Admin) SetDestination(ctx context.Context, in SetDestination) (Started, error) {
	if in.Priority < 0 || in.Priority > PriorityMax {
		return Started{}, fault.New(fault.Invalid, "the priority is %d; want 0 to %d", in.Priority, PriorityMax).
			WithHint("the replica with the lowest value is promoted first")
	}
	if err := a.Follower.Poll(ctx); err != nil {
		return Started{}, err
	}
	destination, err := a.mailstore(in.Destination)
	if err != nil {
		return Started{}, err
	}
	chosen, err := a.choose(ctx, in.Selection,
		func(one *directory.Account) bool { return one.MailHost != destination.FQDN },
		func(one directory.Account) error { return a.mayReplicate(one, destination.FQDN) })
	if err != nil {
		return Started{}, err
	}
	if err := a.mayInitialise(ctx); err != nil {
		return Started{}, err
	}
	unasked, err := a.mayShareBlobs(ctx, chosen, destination.FQDN)
	if err != nil {
		return Started{}, err
	}
	err = a.writeEach(ctx, chosen, func(one directory.Account) error {
		_, err := a.Directory.PutReplica(ctx, one.ID, destination.FQDN, in.Priority)
		return err
	})
	if err != nil {
		return Started{}, err
	}
	silent := a.tell(ctx, append(homesOf(chosen), destination.FQDN)...)
	return a.submit(ctx, operation.New{Type: OperationSetDestination, Accounts: ids(chosen),
		Parameters: destinationParameters{Destination: destination.FQDN, Unasked: unasked}},
		silentNote(silent, "the copies are made when it returns"))
}

func (a *Admin) mayReplicate(one directory.Account, destination string) error {
	if one.MailHost == destination {
		return fault.New(fault.Invalid, "%s is the home of %s", destination, one.Name).
			WithHint("choose another mailstore; prov getAllServers lists them")
	}
	if _, has := a.replica(one.ID, destination); !has && len(a.copy.Replicas(one.ID)) >= directory.ReplicasMax {
		return fault.New(fault.TooLarge, "%s has %d replicas, the most there may be", one.Name, directory.ReplicasMax)
	}
	return nil
}

// mayInitialise checks what every replica needs: a log to live in. A mailstore that just started, or was just told of
// its brokers, is given the time to reach them.
func (a *Admin) mayInitialise(ctx context.Context) error {
	brokers, _ := a.copy.Config(SettingBrokers)
	if brokers == "" {
		return fault.New(fault.LogUnavailable, "no brokers are configured").
			WithHint(`name them with: config set global brokers "host:9092,…"`)
	}
	patience := time.After(a.Pace.Patience)
	for !a.LogStatus().Reachable {
		select {
		case <-time.After(a.Pace.Look):
		case <-patience:
			return fault.New(fault.LogUnavailable, "the brokers %s do not answer %s", brokers, a.Self).
				WithHint("check them with MailReplica test %s, and the agent with MailReplica getServices", brokers)
		case <-ctx.Done():
			return fault.Wrap(fault.Interrupted, ctx.Err(), "waiting for the brokers %s: interrupted", brokers)
		}
	}
	return nil
}

// destinationParameters are those of the operations on one destination.
type destinationParameters struct {
	Destination string
	Unasked     []string `json:",omitempty"` // homes that did not say on which volumes the messages of their accounts lie
}

// RemoveDestination is what RemoveDestination takes.
type RemoveDestination struct {
	Selection
	Destination string `json:"destination"`
}

// RemoveDestination wishes that replicas on a mailstore end. The account's home appends the Leave; the mailstore that holds
// the copy need not be there.
func (a *Admin) RemoveDestination(ctx context.Context, in RemoveDestination) (Started, error) {
	if err := a.Follower.Poll(ctx); err != nil {
		return Started{}, err
	}
	destination, err := a.mailstore(in.Destination)
	if err != nil {
		return Started{}, err
	}
	chosen, err := a.choose(ctx, in.Selection,
		func(one *directory.Account) bool {
			_, has := a.replica(one.ID, destination.FQDN)
			return has
		},
		func(one directory.Account) error { return a.mayRemove(one, destination.FQDN) })
	if err != nil {
		return Started{}, err
	}
	err = a.writeEach(ctx, chosen, func(one directory.Account) error {
		err := a.Directory.RemoveReplica(ctx, one.ID, destination.FQDN)
		if fault.Is(err, fault.NotFound) {
			return nil // gone meanwhile, as wished
		}
		return err
	})
	if err != nil {
		return Started{}, err
	}
	silent := a.tell(ctx, append(homesOf(chosen), destination.FQDN)...)
	delete(silent, destination.FQDN) // its copy ends when it returns; the removal does not wait for that
	answering := make([]directory.Account, 0, len(chosen))
	for _, one := range chosen {
		if silent[one.MailHost] == nil {
			answering = append(answering, one)
		}
	}
	pending := len(chosen) - len(answering)
	notes := silentNote(silent, "the replicas of "+count(pending, "account")+" homed there end when it returns or the accounts are promoted")
	started, err := a.submit(ctx, operation.New{Type: OperationRemoveDestination, Accounts: ids(answering),
		Parameters: destinationParameters{Destination: destination.FQDN}}, notes)
	started.Accounts, started.Pending = len(chosen), pending
	return started, err
}

func (a *Admin) mayRemove(one directory.Account, destination string) error {
	if _, has := a.replica(one.ID, destination); !has {
		return fault.New(fault.NotFound, "%s has no replica on %s", one.Name, destination).
			WithHint("MailReplica getAccountStatus accounts %s shows its replicas", one.Name)
	}
	if one.Paused {
		return fault.New(fault.Paused, "replication of %s is paused, so its members cannot change", one.Name)
	}
	return nil
}
