package main

// rules are what the system keeps to; a walk can be made without one.
type rules struct {
	judgeOnce           bool // an offset is judged once
	fenceNamesJoin      bool // a Fence names the last Join of its mailstore
	noFenceInPause      bool // no Fence while paused, but one that accepts loss
	partsByID           bool // parts belong together by their id
	positionBeforeParts bool // a stored position never passes the first part of an open transaction
	answerOwn           bool // a client is answered by the record of its own change
	fenceComplete       bool // who fences has a complete copy
	readFirst           bool // who fences or serves after a start has read to the end
	readOn              bool // after a start the reader goes on where it was
	noteOpening         bool
	noteResuming        bool
	syncJournal         bool
	syncLoaded          bool
	meetReader          bool // a copy is handed over when it has met the live reader
	noSnapshotInPause   bool
	keepDoubtful        bool // the body of a change in doubt stays
	askBeforeReclaim    bool // no blob goes before every copy has discarded it
	deleteByRecord      bool // a name is free when the Delete was read

	dropJournal          bool
	pauses, disks, trims bool // what happens at all
}

func asBuilt() rules {
	return rules{
		judgeOnce: true, fenceNamesJoin: true, noFenceInPause: true, partsByID: true, positionBeforeParts: true, answerOwn: true, fenceComplete: true,
		readFirst: true, readOn: true, noteOpening: true, noteResuming: true, syncJournal: true, syncLoaded: true, meetReader: true,
		noSnapshotInPause: true, keepDoubtful: true, askBeforeReclaim: true, deleteByRecord: true, pauses: true, disks: true, trims: true,
	}
}

// broken is the system without a rule. quiet says why no walk is known to find it.
type broken struct {
	name   string
	change func(*rules)
	quiet  string
}

var breaks = []broken{
	{"judge an offset twice", func(r *rules) { r.judgeOnce = false }, ""},
	{"accept a fence of another Join", func(r *rules) { r.fenceNamesJoin = false }, ""},
	{"accept a fence while paused", func(r *rules) { r.noFenceInPause = false }, ""},
	{"mix parts", func(r *rules) { r.partsByID = false }, ""},
	{"store a position behind parts", func(r *rules) { r.positionBeforeParts = false }, ""},
	{"answer whoever waits", func(r *rules) { r.answerOwn = false }, ""},
	{"fence with a copy that is not complete", func(r *rules) { r.fenceComplete = false }, ""},
	{"serve and fence before reading to the end", func(r *rules) { r.readFirst = false }, ""},
	{"go on at the end after a start", func(r *rules) { r.readOn = false }, ""},
	{"open without noting it", func(r *rules) { r.noteOpening = false }, ""},
	{"resume without noting it", func(r *rules) { r.noteResuming = false }, ""},
	{"do not sync the journal", func(r *rules) { r.syncJournal = false }, ""},
	{"do not sync what was loaded", func(r *rules) { r.syncLoaded = false }, ""},
	{"hand over before the live reader is met", func(r *rules) { r.meetReader = false }, ""},
	{"give a snapshot while paused", func(r *rules) { r.noSnapshotInPause = false }, ""},
	{"drop the body of a change in doubt", func(r *rules) { r.keepDoubtful = false }, ""},
	{"reclaim without asking", func(r *rules) { r.askBeforeReclaim = false }, ""},
	{"free a name before the Delete was read", func(r *rules) { r.deleteByRecord = false }, ""},
	{"drop the journal", func(r *rules) { r.dropJournal = true }, ""},
}
