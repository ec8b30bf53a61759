// Package validate judges a cluster that is whole and at rest: whether every copy holds what clients were told, and the same.
package validate

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"mailreplica/internal/robustness/cluster"
	"mailreplica/internal/robustness/traffic"
	"mailreplica/internal/sim/check"
)

// signs are of programs that are wrong themselves.
var signs = append([]string{"panic", "DATA RACE", "fatal error"}, check.Alarms...)

// Validate looks at every copy of the accounts by making its mailstore their home, and judges all that clients were told. Nobody
// else uses the accounts meanwhile. The first mailstore is the home in the end.
func Validate(ctx context.Context, c *cluster.Cluster, t *traffic.Traffic, accounts []traffic.Account) (problems []string, err error) {
	first := map[string]*check.View{}
	for _, m := range slices.Concat(c.Stores[1:], c.Stores[:1]) {
		if err := c.Promote(ctx, m, names(accounts)); err != nil {
			return nil, err
		}
		if err := c.Settled(ctx, names(accounts)); err != nil {
			return nil, err
		}
		for _, a := range accounts {
			v, err := look(ctx, c, m, a)
			if err != nil {
				return nil, fmt.Errorf("%s on %s: %w", a.Name, m.FQDN, err)
			}
			t.Record.Saw(v)
			if before := first[a.Name]; before == nil {
				first[a.Name] = v
			} else if why := check.Differ(before, v); why != "" {
				problems = append(problems, fmt.Sprintf("the copies of %s on %s and %s differ: %s", a.Name, before.Mailstore, v.Mailstore, why))
			}
		}
	}
	history, more := t.Record.History()
	problems = append(problems, more...)
	problems = append(problems, history.Check()...)
	return append(problems, Complaints(c)...), nil
}

func names(accounts []traffic.Account) (all []string) {
	for _, a := range accounts {
		all = append(all, a.Name)
	}
	return all
}

// look sees everything of an account on its home, bodies included.
func look(ctx context.Context, c *cluster.Cluster, m *cluster.Mailstore, a traffic.Account) (*check.View, error) {
	session, err := traffic.Login(m.IMAP, a)
	if err != nil {
		return nil, err
	}
	defer session.Leave()
	v, err := session.Look(true)
	if err != nil {
		return nil, err
	}
	v.Account, v.Mailstore, v.Settled, v.Served, v.Started = a.ID, m.FQDN, true, true, v.Begun
	v.Sequence, v.Digest, err = c.Head(ctx, a.Name)
	return v, err
}

// Complaints are the lines of logs that say that a program is wrong, or that a promise is broken.
func Complaints(c *cluster.Cluster) (all []string) {
	for _, p := range c.Processes() {
		text, err := os.ReadFile(p.Log)
		if err != nil {
			all = append(all, err.Error())
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			if slices.ContainsFunc(signs, func(sign string) bool { return strings.Contains(line, sign) }) && len(all) < 20 {
				all = append(all, p.Name+" says: "+line)
			}
		}
	}
	return all
}
