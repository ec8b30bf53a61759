package overlay

const (
	rand     = "GOROOT/src/runtime/rand.go"
	proc     = "GOROOT/src/runtime/proc.go"
	sema     = "GOROOT/src/runtime/sema.go"
	timers   = "GOROOT/src/runtime/time.go"
	scavenge = "GOROOT/src/runtime/mgcscavenge.go"
	choice   = "GOROOT/src/runtime/select.go"
	runtime2 = "GOROOT/src/runtime/runtime2.go"
	clock    = "GOROOT/src/time/time.go"
	ours     = "internal/sim/exactly.go"
)

// Exact are the edits of the Go runtime, and of package sim, that a simulation needs so that a seed gives one history: every goroutine
// draws the numbers by which a select, a map or a timer chooses from a source that follows from the seed and from who began it; no
// goroutine is interrupted because of the clock; and one in a system call keeps its turn. Besides, every goroutine goes by a clock that can
// be set, that of who began it. The program is to be run with -exact. The edits fit the release of Go that go.mod names; another one may
// need others, and then Apply says so.
var Exact = []Edit{
	// A goroutine's own source of numbers.
	{File: runtime2, Old: "	valgrindStackID uintptr\n}", New: "	valgrindStackID uintptr\n\n	draws uint64 // 0: this goroutine is in no simulation\n	clock int32  // that it goes by; 0 is right\n}"},
	{File: rand, Old: "var readRandomFailed bool\n", New: "var readRandomFailed bool\n" + source},
	{File: rand, Old: "	globalRand.state.Init(*seed)\n", New: "	for i := range seed {\n		seed[i] = byte(i + 1) // the same keys of all hashes in every process\n	}\n	globalRand.state.Init(*seed)\n"},
	{File: rand, Old: "	mp := getg().m\n	c := &mp.chacha8\n", New: "	if simulationDraws(getg()) {\n		return simulationDraw()\n	}\n	mp := getg().m\n	c := &mp.chacha8\n"},
	{File: proc, Old: "	newg.parentGoid = callergp.goid\n", New: "	newg.parentGoid = callergp.goid\n	newg.draws = simulationChild(callergp)\n	newg.clock = callergp.clock\n"},

	// Who chooses by such numbers.
	{File: choice, Old: "cheaprandn(uint32(norder + 1))", New: "simulationCheapN(uint32(norder + 1))"},
	{File: sema, Old: "	s.ticket = cheaprand() | 1\n", New: "	s.ticket = simulationCheap() | 1\n"},
	{File: timers, Old: "			t.rand = cheaprand()\n", New: "			t.rand = simulationCheap()\n"},

	// Time passes while a goroutine waits for a mutex, where that is wanted: whoever has it may wait for a slow disk.
	{File: runtime2, Old: "	return isIdleInSynctest[w]\n", New: "	return isIdleInSynctest[w] || simulationPatient && w >= waitReasonSyncMutexLock && w <= waitReasonSyncRWMutexLock\n"},

	// Clocks that are set: a time has the monotonic reading that it lacks in a bubble, so that durations do not depend on them. What a timer
	// begins goes by the clock of who made the timer.
	{File: timers, Old: "		sec = bubble.now / (1000 * 1000 * 1000)\n		nsec = int32(bubble.now % (1000 * 1000 * 1000))\n", New: "		wall := bubble.now + simulationClocks[getg().clock]\n		sec = wall / (1000 * 1000 * 1000)\n		nsec = int32(wall % (1000 * 1000 * 1000))\n"},
	{File: timers, Old: "		return sec, nsec, 0\n", New: "		if simulating {\n			mono = bubble.now\n		}\n		return sec, nsec, mono\n"},
	{File: clock, Old: "	mono -= startNano\n", New: "	if !runtimeIsBubbled() { // that differs from process to process\n		mono -= startNano\n	}\n"},
	{File: timers, Old: "	seq    uintptr\n\n	// If non-nil, the timers containing t.\n", New: "	seq    uintptr\n	clock  int32\n\n	// If non-nil, the timers containing t.\n"},
	{File: timers, Old: "	lockInit(&t.mu, lockRankTimer)\n", New: "	lockInit(&t.mu, lockRankTimer)\n	t.clock = getg().clock\n"},
	{File: timers, Old: "		gp.bubble = bubble\n", New: "		gp.bubble = bubble\n		gp.clock = t.clock\n"},
	{File: timers, Old: "		gp.bubble = nil\n", New: "		gp.bubble = nil\n		gp.clock = 0\n"},

	// The clock of the machine decides nothing.
	{File: sema, Old: "func internal_sync_nanotime() int64 {\n", New: "func internal_sync_nanotime() int64 {\n	if simulating {\n		return 0\n	}\n"},
	{File: proc, Old: "func retake(now int64) uint32 {\n", New: "func retake(now int64) uint32 {\n	if simulating {\n		return 0\n	}\n"},
	{File: scavenge, Old: "func (s *scavengerState) wake() {\n", New: "func (s *scavengerState) wake() {\n	if simulating {\n		return // it would take its turns by the clock, and whoever was next would be last\n	}\n"},
	{File: proc, Old: "	if pp.schedtick%61 == 0 && !sched.runq.empty() {\n", New: "	if !simulating && pp.schedtick%61 == 0 && !sched.runq.empty() {\n"},

	{File: ours, Old: "import \"time\"\n", New: "import (\n	\"runtime\"\n	\"runtime/debug\"\n	\"time\"\n	_ \"unsafe\" // for the name of a function of the runtime\n)\n\n//go:linkname seedRuntime runtime.simulationSeed\nfunc seedRuntime(seed uint64)\n\n//go:linkname setPatient runtime.simulationSetPatient\nfunc setPatient(bool)\n\n//go:linkname goBy runtime.simulationGoBy\nfunc goBy(clock int32)\n\n//go:linkname setClock runtime.simulationSetClock\nfunc setClock(clock int32, wrong int64)\n"},
	{File: ours, Old: "func exactly(uint64) bool { return false }\n", New: "func exactly(seed uint64) bool {\n	runtime.MemProfileRate = 0\n	debug.SetGCPercent(-1)\n	seedRuntime(seed)\n	setPatient(false)\n	return true\n}\n"},
	{File: ours, Old: "func (c clock) wear() {}\n", New: "func (c clock) wear() { goBy(int32(c)) }\n"},
	{File: ours, Old: "func (c clock) set(time.Duration) {}\n", New: "func (c clock) set(wrong time.Duration) { setClock(int32(c), int64(wrong)) }\n"},
	{File: ours, Old: "func patiently() bool { return false }\n", New: "func patiently() bool {\n	setPatient(true)\n	return true\n}\n"},
}

// source is the source of numbers: a goroutine that a simulated one begins has one that follows from its own. Timers run outside
// of goroutines; they have one in common.
const source = `
var simulating bool
var simulationTimers uint64
var simulationPatient bool
var simulationClocks [16]int64 // by how much each is wrong, in nanoseconds; the first is right

//go:linkname simulationGoBy
func simulationGoBy(clock int32) { getg().clock = clock }

//go:linkname simulationSetClock
func simulationSetClock(clock int32, wrong int64) { simulationClocks[clock] = wrong }

//go:linkname simulationSetPatient
func simulationSetPatient(patient bool) { simulationPatient = patient }

//go:linkname simulationSeed
func simulationSeed(seed uint64) {
	simulating = true
	getg().draws = simulationMix(seed) | 1
	simulationClocks = [16]int64{}
	simulationTimers = simulationMix(^seed) | 1
}

//go:nosplit
func simulationMix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

//go:nosplit
func simulationDraws(gp *g) bool {
	return simulating && (gp.draws != 0 || gp == gp.m.g0 && gp.m.p != 0)
}

//go:nosplit
func simulationDraw() uint64 {
	from := &getg().draws
	if *from == 0 {
		from = &simulationTimers
	}
	*from += 0x9e3779b97f4a7c15
	return simulationMix(*from)
}

//go:nosplit
func simulationCheap() uint32 {
	if simulationDraws(getg()) {
		return uint32(simulationDraw() >> 32)
	}
	return cheaprand()
}

//go:nosplit
func simulationCheapN(n uint32) uint32 {
	return uint32((uint64(simulationCheap()) * uint64(n)) >> 32)
}

func simulationChild(parent *g) uint64 {
	switch {
	case !simulating:
		return 0
	case parent.draws != 0:
		parent.draws += 0x9e3779b97f4a7c15
		return simulationMix(parent.draws) | 1
	case parent == parent.m.g0:
		simulationTimers += 0x9e3779b97f4a7c15
		return simulationMix(simulationTimers) | 1
	}
	return 0
}
`
