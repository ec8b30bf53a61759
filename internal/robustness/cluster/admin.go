package cluster

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"mailreplica/internal/admin"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

const (
	settledWait = 3 * time.Minute
	promoteWait = 2 * time.Minute
	commandWait = 30 * time.Second
	lookEvery   = 50 * time.Millisecond
)

// priority of the replicas on the i-th mailstore, from 0.
func priority(i int) int { return 10 * i }

// any gives a command to one mailstore that runs after another until one carries it out.
func (c *Cluster) any(ctx context.Context, wait time.Duration, do func(ctx context.Context, m *Mailstore) error) (err error) {
	for end := time.Now().Add(wait); ; {
		for _, m := range c.awake() {
			asking, cancel := context.WithTimeout(ctx, commandWait)
			err = do(asking, m)
			cancel()
			if err == nil || ctx.Err() != nil {
				return err
			}
		}
		if time.Now().After(end) {
			return err
		}
		time.Sleep(lookEvery)
	}
}

// awake are the mailstores whose processes run, all if none does: an administrator would not wait for the others for long.
func (c *Cluster) awake() []*Mailstore {
	awake := slices.DeleteFunc(slices.Clone(c.Stores), func(m *Mailstore) bool { return !m.Runs() })
	if len(awake) == 0 {
		return c.Stores
	}
	return awake
}

// CreateAccount makes an account on the first mailstore and gives its id. An answer that is lost is asked for again.
func (c *Cluster) CreateAccount(ctx context.Context, name, password string) (id string, err error) {
	err = c.any(ctx, settledWait, func(ctx context.Context, m *Mailstore) error {
		made, err := m.Admin.CreateAccount(ctx, admin.CreateAccount{Name: name, Password: password, MailHost: c.Stores[0].FQDN})
		if fault.Is(err, fault.Exists) {
			made, err = m.Admin.GetAccount(ctx, name)
		}
		id = made.ID
		return err
	})
	return id, err
}

// DeleteAccount ends an account and all its copies.
func (c *Cluster) DeleteAccount(ctx context.Context, name string) error {
	return c.any(ctx, settledWait, func(ctx context.Context, m *Mailstore) error {
		_, err := m.Admin.DeleteAccount(ctx, name)
		return err
	})
}

// Replicate wishes for replicas on a mailstore, unless it is the home.
func (c *Cluster) Replicate(ctx context.Context, m *Mailstore, names []string) error {
	in := admin.SetDestination{Selection: admin.Selection{Accounts: names}, Destination: m.FQDN, Priority: priority(slices.Index(c.Stores, m))}
	return c.any(ctx, settledWait, func(ctx context.Context, by *Mailstore) error {
		_, err := by.Admin.SetDestination(ctx, in)
		return err
	})
}

// Withdraw wishes for no replicas on a mailstore.
func (c *Cluster) Withdraw(ctx context.Context, m *Mailstore, names []string) error {
	in := admin.RemoveDestination{Selection: admin.Selection{Accounts: names}, Destination: m.FQDN}
	return c.any(ctx, settledWait, func(ctx context.Context, by *Mailstore) error {
		_, err := by.Admin.RemoveDestination(ctx, in)
		return err
	})
}

// Pause wishes that replication of the accounts is paused, or that it is not.
func (c *Cluster) Pause(ctx context.Context, names []string, paused bool) error {
	return c.any(ctx, settledWait, func(ctx context.Context, by *Mailstore) (err error) {
		if paused {
			_, err = by.Admin.Pause(ctx, admin.Selection{Accounts: names})
		} else {
			_, err = by.Admin.Restart(ctx, admin.Selection{Accounts: names})
		}
		return err
	})
}

// Promote makes a mailstore the home of the accounts. An operation that fails is begun again, as an administrator does.
func (c *Cluster) Promote(ctx context.Context, m *Mailstore, names []string) error {
	var err error
	for end := time.Now().Add(promoteWait); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(lookEvery) {
		var homes map[string]string
		if homes, err = c.Homes(ctx, names); err != nil {
			continue
		}
		elsewhere := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return homes[name] == m.FQDN })
		if len(elsewhere) == 0 {
			return nil
		}
		err = c.PromoteOnce(ctx, m, elsewhere)
	}
	return fmt.Errorf("the accounts cannot be promoted to %s: %w", m.FQDN, err)
}

// PromoteOnce tries once.
func (c *Cluster) PromoteOnce(ctx context.Context, m *Mailstore, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, promoteWait)
	defer cancel()
	started, err := m.Admin.Promote(ctx, admin.Promote{Selection: admin.Selection{Accounts: names}, Destination: m.FQDN})
	if err != nil || started.OperationID == "" {
		return err
	}
	for {
		o, err := m.Admin.GetOperation(ctx, started.OperationID)
		switch {
		case err != nil:
			return err
		case o.Finished() && o.Failed > 0:
			failures, err := m.Admin.GetFailures(ctx, admin.GetFailures{ID: o.ID})
			return fmt.Errorf("%d of %d accounts were not promoted: %+v, %v", o.Failed, o.Total, failures, err)
		case o.Finished():
			return nil
		}
		time.Sleep(lookEvery)
	}
}

// status asks how accounts are.
func (c *Cluster) status(ctx context.Context, names []string) (all []admin.AccountStatus, err error) {
	err = c.any(ctx, settledWait, func(ctx context.Context, m *Mailstore) error {
		answer, err := m.Admin.GetAccountStatus(ctx, admin.GetStatus{Selection: admin.Selection{Accounts: names}})
		all = answer.Values
		return err
	})
	return all, err
}

// Settled waits until all accounts have a home and equal, available replicas on all other mailstores.
func (c *Cluster) Settled(ctx context.Context, names []string) error {
	for end := time.Now().Add(settledWait); ; time.Sleep(lookEvery) {
		all, err := c.status(ctx, names)
		if err != nil {
			return err
		}
		why := ""
		if len(all) != len(names) {
			why = strconv.Itoa(len(all)) + " accounts have replicas"
		}
		for _, a := range all {
			if why == "" {
				why = unsettled(a)
			}
		}
		if why == "" {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("not settled %s after all was made whole: %s", settledWait, why)
		}
	}
}

func unsettled(a admin.AccountStatus) string {
	if a.Details == nil || a.Paused || len(a.Replicas) != mailstores-1 {
		return fmt.Sprintf("%s on %s: answers %v, paused %v, %d replicas", a.AccountName, a.AccountMailHost, a.Details != nil, a.Paused, len(a.Replicas))
	}
	for _, r := range a.Replicas {
		if !r.Available || r.Details == nil || r.Details.Digest != a.Details.Digest || r.Details.Epoch != a.Details.Epoch {
			return fmt.Sprintf("%s on %s: %+v, its replica on %s: %s, %+v", a.AccountName, a.AccountMailHost, a.Details, r.Destination, r.State, r.Details)
		}
	}
	return ""
}

// Head is the sequence and the digest of an account at its home.
func (c *Cluster) Head(ctx context.Context, name string) (mailbox.Sequence, mailbox.Digest, error) {
	var digest mailbox.Digest
	all, err := c.status(ctx, []string{name})
	if err != nil {
		return 0, digest, err
	}
	if len(all) != 1 || all[0].Details == nil || all[0].Sequence == nil {
		return 0, digest, fmt.Errorf("%s has no status", name)
	}
	var bytes [16]byte
	if n, err := hex.Decode(bytes[:], []byte(all[0].Details.Digest)); err != nil || n != len(bytes) {
		return 0, digest, fmt.Errorf("%s has the digest %q, which is none", name, all[0].Details.Digest)
	}
	return mailbox.Sequence(*all[0].Sequence), mailbox.DigestFromBytes(bytes), nil
}

// Homes tells where accounts live.
func (c *Cluster) Homes(ctx context.Context, names []string) (map[string]string, error) {
	homes := map[string]string{}
	for _, name := range names {
		err := c.any(ctx, settledWait, func(ctx context.Context, m *Mailstore) error {
			a, err := m.Admin.GetAccount(ctx, name)
			homes[name] = a.MailHost
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return homes, nil
}
