package admintest

import (
	"context"
	"io"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/operation"
	"mailreplica/internal/peer"
	"mailreplica/internal/promotion"
)

// service is the peer API of a mailstore whose copies follow the directory.
type service struct{ m *Mailstore }

// Status tells of copies what the directory says of them.
func (s service) Status(_ context.Context, ids []account.ID) (peer.Status, error) {
	s.m.mu.Lock()
	running := !s.m.agentStopped
	s.m.mu.Unlock()
	status := peer.Status{Mailstore: s.m.FQDN, LogReachable: !s.m.isLogAway(),
		Services: []peer.ServiceStatus{{Name: "agent", Running: running, Detail: "reads the event log of cluster " + Cluster}}}
	for _, id := range ids {
		if c, holds := s.copyOf(id); holds {
			status.Copies = append(status.Copies, c)
		}
	}
	return status, nil
}

func (s service) copyOf(id account.ID) (peer.CopyStatus, bool) {
	wishes := s.m.follower.Copy()
	wish, known := wishes.Account(id)
	if !known {
		return peer.CopyStatus{}, false
	}
	c := peer.CopyStatus{Account: id, MailboxID: 7, Sequence: mailbox.Sequence(12), ItemID: mailbox.ItemID(6), Epoch: wish.Epoch,
		Primary: wish.MailHost, Condition: s.m.conditionOfCopies(), Mode: "local", Digest: "d1", Messages: 1, Bytes: 100}
	holds := wish.MailHost == s.m.FQDN && wish.Epoch > 0
	for _, r := range wishes.Replicas(id) {
		holds = holds || r.Mailstore == s.m.FQDN && r.State == directory.Available
		c.Mode = "log"
	}
	if wish.Paused && !s.m.isLogAway() {
		c.Mode = "paused"
	}
	return c, holds
}

// Volumes says that the contents of copies lie on the primary volume of the mailstore, or where the test put them.
func (s service) Volumes(_ context.Context, ids []account.ID) ([]peer.ContentVolumes, error) {
	s.m.mu.Lock()
	hidden := s.m.contentsHidden
	s.m.mu.Unlock()
	if hidden {
		return nil, fault.New(fault.HomeUnreachable, "%s does not answer in time", s.m.FQDN)
	}
	var all []peer.ContentVolumes
	for _, id := range ids {
		if _, holds := s.copyOf(id); holds {
			all = append(all, peer.ContentVolumes{Account: id, Volumes: s.m.contentVolumes(id)})
		}
	}
	return all, nil
}

// Give is never asked for.
func (s service) Give(context.Context, account.ID, string, io.Writer) error {
	return fault.New(fault.Unusable, "there are no snapshots in these tests")
}

// Fence is never asked for.
func (s service) Fence(context.Context, peer.FenceRequest, func(peer.FenceResult)) error {
	return fault.New(fault.Unusable, "there are no fences in these tests")
}

// Nudge looks at the directory.
func (s service) Nudge(ctx context.Context) error {
	s.m.reconcile(ctx)
	return s.m.follower.Poll(ctx)
}

// SetService stops and starts the agent.
func (s service) SetService(_ context.Context, name string, run bool) error {
	if name != "agent" {
		return fault.New(fault.NotFound, "there is no service %q; there is: agent", name)
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.m.agentStopped = !run
	return nil
}

// HoldPromotions makes promotions wait until the test calls release.
func (p *Platform) HoldPromotions() (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	held := make(chan struct{})
	p.promoting = held
	return func() { close(held) }
}

// promote makes the first available replica of each account its home, in the directory.
func (p *Platform) promote(ctx context.Context, task *operation.Task) error {
	p.mu.Lock()
	held := p.promoting
	p.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return fault.Wrap(fault.Interrupted, ctx.Err(), "no longer promoting")
		}
	}
	var parameters promotion.Parameters
	if err := task.Parameters(&parameters); err != nil {
		return err
	}
	for _, item := range task.Pending() {
		if err := p.promoteOne(ctx, item.Account, parameters); err != nil {
			task.Failed(item, err)
			continue
		}
		task.Succeeded(item, "")
	}
	return nil
}

func (p *Platform) promoteOne(ctx context.Context, item string, parameters promotion.Parameters) error {
	id, err := account.ParseID(item)
	if err != nil {
		return err
	}
	a, err := p.Directory.Account(ctx, id)
	if err != nil {
		return err
	}
	if a.Paused && !parameters.AcceptLoss {
		return fault.New(fault.Paused, "replication of %s is paused: what came since would be lost", a.Name)
	}
	replicas, err := p.Directory.Replicas(ctx, id)
	if err != nil {
		return err
	}
	for _, r := range replicas {
		if r.State != directory.Available || parameters.Destination != "" && r.Mailstore != parameters.Destination {
			continue
		}
		old := directory.Replica{Mailstore: a.MailHost, Priority: r.Priority, State: directory.Available}
		_, err := p.Directory.SetHome(ctx, id, r.Mailstore, a.Epoch+1, append([]directory.Replica{old}, replicas...))
		return err
	}
	return fault.New(fault.Unusable, "%s has no available replica", a.Name).WithHint("start a mailstore that holds one")
}

// Account makes an account with a mailbox on the i-th mailstore.
func (p *Platform) Account(t testing.TB, i int, name string) directory.Account {
	t.Helper()
	made, err := p.Directory.CreateAccount(t.Context(), directory.NewAccount{Name: name, MailHost: Name(i)})
	must(t, err)
	_, err = p.Directory.SetHome(t.Context(), made.ID, Name(i), 1, nil)
	must(t, err)
	p.Poll(t)
	return made
}

// Replica makes an available replica on the i-th mailstore.
func (p *Platform) Replica(t testing.TB, id account.ID, i, priority int) {
	t.Helper()
	_, err := p.Directory.PutReplica(t.Context(), id, Name(i), priority)
	must(t, err)
	must(t, p.Directory.SetReplicaState(t.Context(), id, Name(i), directory.Available))
	p.Poll(t)
}

// Poll makes every mailstore look at the directory.
func (p *Platform) Poll(t testing.TB) {
	t.Helper()
	for _, m := range p.Mailstores {
		must(t, m.follower.Poll(t.Context()))
	}
}

// Eventually waits until done holds; it fails the test after a long while.
func Eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	const patience = 20 * time.Second
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-ticker.C {
		if done() {
			return
		}
	}
	t.Fatalf("%s: not after %s", what, patience)
}

// Reseed is never asked for: the platform is the Reseeder.
func (s service) Reseed(context.Context, account.ID) error {
	return fault.New(fault.Unusable, "there are no copies in these tests")
}
