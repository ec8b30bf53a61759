package sim

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/peer"
	"mailreplica/internal/sim/check"
	"mailreplica/internal/sim/network"
)

// nemesis makes things go wrong and plays the administrator, one action after another: between two of them every goroutine waits.
type nemesis struct {
	*cluster
	actions   []action
	undo      []repair
	down      map[*mailstore]time.Time // when it may come back
	paused    map[account.ID]time.Time // when a pause was last wished for or ended
	rescued   map[account.ID]time.Time // when an administrator last did something for an account in trouble
	lostPower map[*mailstore]bool      // its last end took back what was not synced
	lostDisk  map[*mailstore]bool      // it came back with nothing once
	reseeded  map[account.ID]bool      // an administrator has declared a copy the primary
	unfit     map[fitness]time.Time    // copies that were asked to take over though they had missed records
	trimmed   bool                     // records are gone from the log: what a disk loses now is lost
	heavies   int                      // clients of its own
}

type action struct {
	name   string
	weight int
	do     func(context.Context)
}

// repair ends a fault at its time.
type repair struct {
	at time.Time
	do func()
}

func newNemesis(c *cluster) *nemesis {
	n := &nemesis{
		cluster: c, down: map[*mailstore]time.Time{}, paused: map[account.ID]time.Time{}, rescued: map[account.ID]time.Time{}, lostPower: map[*mailstore]bool{},
		lostDisk: map[*mailstore]bool{}, reseeded: map[account.ID]bool{}, unfit: map[fitness]time.Time{},
	}
	all := []action{
		{"kills", 4, func(context.Context) { n.crash(false) }},
		{"cuts the power", 4, func(context.Context) { n.crash(true) }},
		{"kills at a write", 4, func(context.Context) { n.crashAtWrite(false) }},
		{"cuts the power at a write", 4, func(context.Context) { n.crashAtWrite(true) }},
		{"takes the disk away", 3, n.loseDisk},
		{"trims the log", 1, n.trim},
		{"stops", 2, func(context.Context) { n.stop() }},
		{"cuts links", 6, func(context.Context) { n.cutLinks() }},
		{"cuts off", 4, func(context.Context) { n.cutOff() }},
		{"slows links", 3, func(context.Context) { n.slow() }},
		{"has the broker answer errors", 3, func(context.Context) { n.doubt() }},
		{"breaks the volume", 2, func(context.Context) { n.breakVolume() }},
		{"fills the disk", 1, func(context.Context) { n.fill() }},
		{"slows the disk", 2, func(context.Context) { n.slowDisk() }},
		{"takes the directory away", 2, func(context.Context) { n.loseDirectory() }},
		{"promotes", 6, n.promote},
		{"races promotions", 4, n.race},
		{"has a promotion planned", 5, n.plan},
		{"has a Fence come late", 3, n.fenceComesLate},
		{"has a Fence come second", 3, n.fenceComesSecond},
		{"has an Open come late", 3, n.openingComesLate},
		{"has a Resume come late", 2, n.resumeComesLate},
		{"has parts cross", 2, n.partsCross},
		{"takes the newest copy's power", 3, n.newestOfAll},
		{"promotes a gap", 1, n.promoteGap},
		{"wishes for a replica", 5, n.wish},
		{"removes a replica", 2, n.remove},
		{"stops an agent", 2, n.stopAgent},
		{"fails over", 5, n.failOver},
		{"strikes", 5, n.strike},
		{"pauses", 2, n.pause},
		{"resumes", 3, n.resume},
		{"accepts loss", 1, n.acceptLoss},
		{"deletes an account", 2, n.deleteAccount},
		{"turns a clock", 4, func(context.Context) { n.turnClock() }},
	}
	// Each run knows some of the faults, so that some happen without others that would hide them.
	swarm := c.options.of("swarm")
	for _, a := range all {
		if swarm.IntN(3) > 0 || a.name == "promotes" || a.name == "wishes for a replica" {
			n.actions = append(n.actions, a)
		}
	}
	return n
}

// run makes faults for some time.
func (n *nemesis) run(ctx context.Context, faulty time.Duration) {
	total := 0
	for _, a := range n.actions {
		total += a.weight
	}
	pace := float64(time.Duration(100+n.random.IntN(2500)) * time.Millisecond)
	for end := time.Now().Add(faulty); time.Now().Before(end) && !n.isBroken(); {
		n.sleep(time.Duration(n.random.ExpFloat64() * pace))
		n.tidy(ctx, false)
		choice := n.random.IntN(total)
		for _, a := range n.actions {
			if choice -= a.weight; choice < 0 {
				n.trace.add("nemesis", "%s", a.name)
				a.do(ctx)
				break
			}
		}
		n.breathe()
	}
	n.tidy(ctx, true)
}

// sleep passes time, and ends the lives of mailstores whose disks fail meanwhile.
func (n *nemesis) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case l := <-n.died:
			n.buried(l)
		case <-timer.C:
			return
		}
	}
}

func (n *nemesis) buried(l *life) {
	if l.store.life.Load() != l {
		return
	}
	n.trace.add("nemesis", "%s died at a write", l)
	n.ends(l.store, l.powerLost)
}

// ends crashes a mailstore, to come back after a while.
func (n *nemesis) ends(m *mailstore, power bool) {
	if m.life.Load() == nil {
		return
	}
	n.lostPower[m] = power && !n.trimmed
	if err := m.crash(n.lostPower[m]); err != nil {
		n.problem("the simulation could not crash %s: %v", m.name, err)
	}
	n.comesBack(m)
}

func (n *nemesis) comesBack(m *mailstore) {
	n.down[m] = time.Now().Add(time.Duration(n.random.ExpFloat64() * float64(8*time.Second)))
}

// tidy ends the faults whose time is over, or all of them, and starts the mailstores that may come back.
func (n *nemesis) tidy(ctx context.Context, all bool) {
	n.undo = slices.DeleteFunc(n.undo, func(r repair) bool {
		if over := all || time.Now().After(r.at); over {
			r.do()
			return true
		}
		return false
	})
	for _, m := range n.stores {
		if l := m.life.Load(); l != nil && hasFailed(l) { // to start, for want of the directory for instance
			n.trace.add("nemesis", "%s did not start: %v", l, l.err)
			m.stop()
			n.comesBack(m)
		}
		if m.life.Load() != nil || !all && time.Now().Before(n.down[m]) {
			continue
		}
		if _, err := m.start(); err != nil {
			n.problem("the simulation could not start %s: %v", m.name, err)
		}
		n.trace.add("nemesis", "starts %s", m.last)
	}
	n.rescue(ctx)
}

func hasFailed(l *life) bool {
	select {
	case <-l.started:
		return l.err != nil
	default:
		return false
	}
}

func (n *nemesis) later(do func()) {
	n.undo = append(n.undo, repair{time.Now().Add(time.Duration(n.random.ExpFloat64() * float64(6*time.Second))), do})
}

// aLiving is a mailstore that runs, if there is one.
func (n *nemesis) aLiving() *mailstore {
	for range 4 {
		if m := n.aStore(); m.life.Load() != nil {
			return m
		}
	}
	return n.aStore()
}

func (n *nemesis) aStore() *mailstore { return n.stores[n.random.IntN(len(n.stores))] }

func (n *nemesis) anAccount() account.ID { return n.accounts[n.random.IntN(len(n.accounts))] }

func (n *nemesis) crash(power bool) { n.ends(n.aLiving(), power) }

func (n *nemesis) crashAtWrite(power bool) {
	if l := n.aLiving().life.Load(); l != nil {
		l.crashWithin(1+n.random.IntN(60), power, n.died)
	}
}

func (n *nemesis) stop() {
	m := n.aLiving()
	if l := m.life.Load(); l != nil && isStarted(l) {
		m.stop()
		n.comesBack(m)
	}
}

func isStarted(l *life) bool {
	select {
	case <-l.started:
		return true
	default:
		return false
	}
}

func (n *nemesis) aParty() string {
	if i := n.random.IntN(len(n.stores) + 2); i < len(n.stores) {
		return n.stores[i].name
	}
	return brokerName
}

func (n *nemesis) cutLinks() {
	from, to := n.aParty(), n.aParty()
	both := n.random.IntN(2) == 0
	if from == to {
		return
	}
	n.trace.add("nemesis", "cuts %s from %s, both %v", from, to, both)
	n.network.Cut(from, to)
	if both {
		n.network.Cut(to, from)
	}
	n.later(func() {
		n.network.Heal(from, to)
		n.network.Heal(to, from)
	})
}

// cutOff parts one mailstore from all others, and perhaps from the broker.
func (n *nemesis) cutOff() {
	n.cutOffOne(n.aStore(), n.random.IntN(3) > 0)
}

func (n *nemesis) cutOffOne(m *mailstore, fromBroker bool) {
	var others []string
	for _, other := range n.stores {
		if other != m {
			others = append(others, other.name)
		}
	}
	if fromBroker {
		others = append(others, brokerName)
	}
	n.trace.add("nemesis", "cuts %s off from %v", m.name, others)
	for _, other := range others {
		n.network.Cut(m.name, other)
		n.network.Cut(other, m.name)
	}
	n.later(func() {
		for _, other := range others {
			n.network.Heal(m.name, other)
			n.network.Heal(other, m.name)
		}
	})
}

func (n *nemesis) slow() {
	from, to, by := n.aParty(), n.aParty(), time.Duration(n.random.ExpFloat64()*float64(time.Second))
	n.network.Slow(from, to, by)
	n.later(func() { n.network.Heal(from, to) })
}

func (n *nemesis) breakVolume() {
	m := n.aStore()
	failing := n.random.IntN(2) == 0
	m.volume.set(failing, time.Duration(n.random.ExpFloat64()*float64(2*time.Second)))
	n.later(func() { m.volume.set(false, 0) })
}

// doubt has the broker answer some of a mailstore's appends, or all of them, with errors, though it writes the records.
func (n *nemesis) doubt() {
	m, chance := n.aStore(), float64(1+n.random.IntN(4))/4
	n.trace.add("nemesis", "leaves appends of %s in doubt, %v of them", m.name, chance)
	n.doubtful.doubt(m.ip, chance)
	n.later(func() { n.doubtful.doubt(m.ip, 0) })
}

func (n *nemesis) fill() {
	if l := n.aLiving().life.Load(); l != nil {
		l.disk.Fill(true)
		n.later(func() { l.disk.Fill(false) })
	}
}

// slowDisk has every sync of a mailstore's database take a while. The database is written under mutexes, so that only an altered runtime lets
// time pass meanwhile.
func (n *nemesis) slowDisk() {
	by := time.Duration(n.random.ExpFloat64() * float64(400*time.Millisecond))
	l := n.aLiving().life.Load()
	if l == nil || !patiently() {
		return
	}
	n.trace.add("nemesis", "syncs of %s take %s", l, by)
	l.disk.Slow(by)
	n.later(func() { l.disk.Slow(0) })
}

func (n *nemesis) loseDirectory() {
	if l := n.aLiving().life.Load(); l != nil {
		l.loseDirectory(true)
		n.later(func() { l.loseDirectory(false) })
	}
}

// promote asks a mailstore to take an account over, as a planner does: over the network, from some mailstore.
func (n *nemesis) promote(ctx context.Context) {
	id := n.anAccount()
	one := peer.FenceAccount{Account: id}
	if a, err := n.dir.Account(ctx, id); err == nil && n.random.IntN(2) == 0 {
		one.Epoch = a.Epoch + 1
	}
	if from := n.aLiving().life.Load(); from != nil {
		n.fence(ctx, from.host, n.aStore(), one)
	}
}

// race asks every mailstore at once to take an account over.
func (n *nemesis) race(ctx context.Context) {
	id := n.anAccount()
	for _, m := range n.stores {
		if l := m.life.Load(); l != nil {
			n.fence(ctx, l.host, m, peer.FenceAccount{Account: id})
		}
	}
}

func (n *nemesis) fence(ctx context.Context, from *network.Host, m *mailstore, one peer.FenceAccount) {
	n.fenceWith(ctx, from, m, one, false)
}

func (n *nemesis) fenceWith(ctx context.Context, from *network.Host, m *mailstore, one peer.FenceAccount, acceptLoss bool) {
	l := m.life.Load()
	if l == nil {
		return
	}
	request := peer.FenceRequest{Operation: n.nextName("promotion"), Accounts: []peer.FenceAccount{one}, AcceptLoss: acceptLoss}
	n.background.Go(func() {
		begun := time.Now()
		client := peer.NewClientOver(from.DialContext, peerToken, nil)
		err := client.Fence(ctx, netip.AddrPortFrom(m.ip, peerPort).String(), request, func(r peer.FenceResult) {
			if r.Error == "" {
				n.history.Took(check.Taken{Account: one.Account, Mailstore: m.name, At: time.Now()})
			}
			n.trace.add("promotion", "%s on %s: %+v", one.Account, m.name, r)
		})
		if took := time.Since(begun); took > 2*time.Minute {
			n.problem("a promotion on %s took %s: %v", m.name, took, err)
		}
	})
}

func (n *nemesis) wish(ctx context.Context) {
	_, err := n.dir.PutReplica(ctx, n.anAccount(), n.aStore().name, n.random.IntN(3))
	n.trace.add("nemesis", "wish: %v", err) // the home has none
}

func (n *nemesis) remove(ctx context.Context) {
	err := n.dir.RemoveReplica(ctx, n.anAccount(), n.aStore().name)
	n.trace.add("nemesis", "removal: %v", err)
}

// stopAgent stops a mailstore's agent for a while: at times while it hears nothing of the broker, so that there are appends in doubt.
func (n *nemesis) stopAgent(ctx context.Context) {
	l := n.aLiving().life.Load()
	if l == nil || l.node.Load() == nil {
		return
	}
	if !l.turning.CompareAndSwap(false, true) {
		return // one at a time: a wait for a mutex would keep virtual time from passing
	}
	again := time.Duration(n.random.ExpFloat64() * float64(5*time.Second))
	if n.random.IntN(2) == 0 {
		n.network.Cut(brokerName, l.store.name)
		n.sleep(time.Duration(n.random.IntN(1_000)) * time.Millisecond)
	}
	n.background.Go(func() {
		l.store.clock().wear()
		service := l.node.Load().Service()
		_ = service.SetService(ctx, "agent", false)
		n.network.Heal(brokerName, l.store.name)
		time.Sleep(again)
		_ = service.SetService(ctx, "agent", true)
		l.turning.Store(false)
	})
}

func (n *nemesis) pause(ctx context.Context) {
	id := n.anAccount()
	n.paused[id] = time.Now()
	_, err := n.dir.SetPaused(ctx, id, true)
	n.trace.add("nemesis", "pause: %v", err)
}

func (n *nemesis) resume(ctx context.Context) {
	id := n.anAccount()
	n.paused[id] = time.Now()
	_, err := n.dir.SetPaused(ctx, id, false)
	n.trace.add("nemesis", "resume: %v", err)
}

// mend ends every fault.
func (n *nemesis) mend(ctx context.Context) {
	n.tidy(ctx, true)
	for _, m := range n.stores {
		if l := m.life.Load(); l != nil {
			l.disk.KillAfter(-1, nil)
		}
	}
	n.network.HealAll()
	for _, id := range n.accounts {
		if _, err := n.dir.SetPaused(ctx, id, false); err != nil {
			n.problem("the pause of %s could not be ended: %v", id, err)
		}
	}
}
