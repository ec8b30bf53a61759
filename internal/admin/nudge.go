package admin

import (
	"context"
	"sync"
	"time"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

// nudgeWait bounds how long a command waits for other mailstores to look at the directory. They look by themselves soon.
const nudgeWait = 700 * time.Millisecond

// tell makes this mailstore and those named look at the directory now, and gives the ones that do not answer. What was
// written is valid whoever answers.
func (a *Admin) tell(ctx context.Context, fqdns ...string) map[string]error {
	if err := a.Follower.Poll(ctx); err != nil {
		a.Logger.Warn("the directory was written but could not be read again yet", "error", err)
	}
	ctx, cancel := context.WithTimeout(ctx, nudgeWait)
	defer cancel()
	silent := make(map[string]error)
	var mu sync.Mutex
	var asked sync.WaitGroup
	for fqdn := range distinct(fqdns) {
		if fqdn == a.Self {
			continue
		}
		asked.Go(func() {
			err := a.nudge(ctx, fqdn)
			if err == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			silent[fqdn] = err
		})
	}
	asked.Wait()
	return silent
}

func (a *Admin) nudge(ctx context.Context, fqdn string) error {
	addr, err := a.peerAddr(fqdn)
	if err != nil {
		return err
	}
	return a.Peers.Nudge(ctx, addr)
}

func (a *Admin) peerAddr(fqdn string) (string, error) {
	m, known := a.copy.Mailstore(fqdn)
	if !known {
		return "", noMailstore(fqdn)
	}
	return m.PeerAddr, nil
}

func noMailstore(fqdn string) error {
	return fault.New(fault.NotFound, "there is no mailstore %q", fqdn).WithHint("prov getAllServers lists the mailstores")
}

func (a *Admin) allMailstores() []string {
	var all []string
	for _, m := range a.copy.Mailstores() {
		all = append(all, m.FQDN)
	}
	return all
}

func homesOf(accounts []directory.Account) []string {
	homes := make([]string, 0, len(accounts))
	for _, one := range accounts {
		homes = append(homes, one.MailHost)
	}
	return homes
}

func distinct(values []string) map[string]struct{} {
	set := make(map[string]struct{}, 8)
	for _, v := range values {
		if v != "" {
			set[v] = struct{}{}
		}
	}
	return set
}
