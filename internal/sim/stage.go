package sim

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing/synctest"
	"time"

	"mailreplica/internal/peer"
	"mailreplica/internal/scenario"
	"mailreplica/internal/sim/network"
)

const (
	workMax      = 10 * time.Minute // for changes to be acknowledged
	promoteMax   = 10 * time.Minute
	promoteAgain = 10 * time.Second // after which an administrator tries again
	stillVolume  = 10 * time.Second // that one that stands still takes for anything
	stageStores  = 3
	stageCount   = 2 // of accounts
)

// operatorAddress is that of whoever gives commands.
var operatorAddress = netip.MustParseAddr("10.0.0.201")

// stage is the cluster on which a scenario is played, in place of the faults that a seed chooses. It is a scenario.World.
type stage struct{ *nemesis }

// play plays a scenario once every account has its replicas.
func (n *nemesis) play(ctx context.Context, one scenario.Scenario) error {
	s := stage{n}
	if err := s.within(workMax, func() string { return s.unsettled(ctx) }); err != nil {
		return err
	}
	return scenario.Play(ctx, s, one)
}

// within passes time until nothing is missing any more.
func (s stage) within(most time.Duration, missing func() string) error {
	for end := time.Now().Add(most); ; s.sleep(50 * time.Millisecond) {
		why := missing()
		if why == "" {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("not within %s: %s", most, why)
		}
	}
}

// Has implements scenario.World: there is one broker.
func (s stage) Has(step scenario.Step) bool {
	return step.At != scenario.Broker && step.To != scenario.Broker
}

// Work implements scenario.World.
func (s stage) Work(_ context.Context, changes int) error {
	_, from, _ := s.history.Counts()
	return s.within(workMax, func() string {
		if _, done, _ := s.history.Counts(); done-from < changes {
			return fmt.Sprintf("%d of %d changes are acknowledged", done-from, changes)
		}
		return ""
	})
}

// Pass implements scenario.World.
func (s stage) Pass(_ context.Context, d time.Duration) error {
	s.sleep(d/2 + time.Duration(s.random.Int64N(int64(d)+1)))
	return nil
}

// Settle implements scenario.World. What follows in Run settles and judges.
func (s stage) Settle(ctx context.Context) error {
	s.mend(ctx)
	return nil
}

// store is the mailstore that plays a party, nil if none does.
func (s stage) store(p scenario.Party) *mailstore {
	if i := slices.Index(scenario.Mailstores, p); i >= 0 {
		return s.stores[i]
	}
	return nil
}

// Do implements scenario.World.
func (s stage) Do(ctx context.Context, step scenario.Step) error {
	s.trace.add("scenario", "%s", step)
	defer synctest.Wait()
	if step.To != "" || step.Do == scenario.Heal {
		return s.line(step)
	}
	if m := s.store(step.At); m != nil {
		return s.onStore(ctx, m, step)
	}
	switch step.At {
	case scenario.Brokers: // one in memory, which cannot be lost without what it keeps: nobody reaches it
		for _, m := range s.stores {
			s.part(m.name, brokerName, step.Do == scenario.Kill || step.Do == scenario.Freeze)
		}
		return nil
	case scenario.Volume:
		for _, m := range s.stores {
			s.volumeFails(m, step.Do)
		}
		return nil
	case scenario.Directory:
		for _, m := range s.stores {
			s.directoryFails(m, step.Do == scenario.Kill)
		}
		return nil
	}
	for _, id := range s.accounts {
		s.paused[id] = time.Now()
		if _, err := s.dir.SetPaused(ctx, id, step.Do == scenario.Pause); err != nil {
			return err
		}
	}
	return nil
}

func (s stage) part(a, b string, parted bool) {
	do := s.network.Heal
	if parted {
		do = s.network.Cut
	}
	do(a, b)
	do(b, a)
}

func (s stage) volumeFails(m *mailstore, how scenario.Action) {
	slow := time.Duration(0)
	if how == scenario.Freeze {
		slow = stillVolume
	}
	m.volume.set(how == scenario.Kill || how == scenario.Fill || how == scenario.Cut, slow)
}

func (s stage) directoryFails(m *mailstore, away bool) {
	if l := m.life.Load(); l != nil {
		l.loseDirectory(away)
	}
}

// line does something to the line between two parties.
func (s stage) line(step scenario.Step) error {
	if step.Do == scenario.Heal {
		s.network.HealAll()
		for _, m := range s.stores {
			m.volume.set(false, 0)
			s.directoryFails(m, false)
		}
		return nil
	}
	m := s.store(step.At)
	switch step.To {
	case scenario.Volume:
		s.volumeFails(m, scenario.Cut)
		return nil
	case scenario.Directory:
		s.directoryFails(m, true)
		return nil
	}
	from, to := s.host(step.At), s.host(step.To)
	switch step.Do {
	case scenario.Cut:
		s.part(from, to, true)
	case scenario.Silence:
		s.network.Cut(from, to)
	case scenario.Slow:
		s.network.Slow(from, to, step.For)
	default:
		return fmt.Errorf("nobody can %s", step)
	}
	return nil
}

func (s stage) host(p scenario.Party) string {
	if m := s.store(p); m != nil {
		return m.name
	}
	return brokerName
}

func (s stage) onStore(ctx context.Context, m *mailstore, step scenario.Step) error {
	switch step.Do {
	case scenario.Kill:
		s.ends(m, false)
	case scenario.Stop:
		m.stop()
	case scenario.Start:
		if m.life.Load() == nil {
			if _, err := m.start(); err != nil {
				return err
			}
		}
	case scenario.Freeze, scenario.Thaw: // time cannot stand still for one: nobody hears it, and it hears nobody
		for _, other := range s.stores {
			if other != m {
				s.part(m.name, other.name, step.Do == scenario.Freeze)
			}
		}
		s.part(m.name, brokerName, step.Do == scenario.Freeze)
	case scenario.Fill, scenario.Empty:
		if l := m.life.Load(); l != nil {
			l.disk.Fill(step.Do == scenario.Fill)
		}
	case scenario.Promote:
		return s.promoted(ctx, m)
	case scenario.TryPromote:
		s.fenceAll(ctx, m)
	case scenario.Replicate, scenario.Withdraw:
		return s.wishAll(ctx, m, step.Do == scenario.Replicate)
	default:
		return fmt.Errorf("a mailstore cannot %s", step)
	}
	return nil
}

func (s stage) wishAll(ctx context.Context, m *mailstore, wished bool) error {
	for _, id := range s.accounts {
		err := s.dir.RemoveReplica(ctx, id, m.name)
		if wished {
			_, err = s.dir.PutReplica(ctx, id, m.name, 10*m.index)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fenceAll asks a mailstore to take over what it is not the home of, and does not wait for its answer.
func (s stage) fenceAll(ctx context.Context, m *mailstore) {
	host := s.operator()
	for _, id := range s.accounts {
		if a, err := s.dir.Account(ctx, id); err == nil && a.MailHost != m.name {
			s.fence(ctx, host, m, peer.FenceAccount{Account: id})
		}
	}
}

// operator is a host that nobody is parted from.
func (s stage) operator() *network.Host { return s.network.Host("operator", operatorAddress) }

// promoted tries until a mailstore is the home of every account.
func (s stage) promoted(ctx context.Context, m *mailstore) error {
	var tried time.Time
	return s.within(promoteMax, func() string {
		for _, id := range s.accounts {
			a, err := s.dir.Account(ctx, id)
			if err != nil {
				return err.Error()
			}
			if a.MailHost == m.name {
				continue
			}
			if time.Since(tried) > promoteAgain {
				tried = time.Now()
				s.fenceAll(ctx, m)
			}
			return fmt.Sprintf("the home of %s is %s", id, a.MailHost)
		}
		return ""
	})
}
