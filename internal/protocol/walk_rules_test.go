package protocol_test

import (
	"flag"
	"strings"
	"testing"
)

// rules is a set of rules of design section 4 that a walk does without.
type rules uint64

const nothing rules = 0

func (r rules) has(x rules) bool { return r&x != 0 }

const (
	answerBySequence rules = 1 << iota
	ignorePrevious
	ignoreGaps
	ignoreMissedPosition
	oneInFlight
	judgeTwice
	positionOutside
	openingWithoutFsync
	cancelWithinEpoch
	localWithoutFsync
	journalWithoutFsync
	modeWithoutFsync
	loadWithoutFsync
	serveBeforeEnd
	fenceBeforeEnd
	fenceIncomplete
	anyJoin
	anyMailstoreFences
	reuseJoin
	ignoreOwnJoin
	snapshotBeforeJoin
	snapshotOffsetLater
	snapshotWhilePaused
	overwritePrimary
	mixParts
	positionPastParts
	handOverPastParts
	fencePaused
	resumingUnmarked
	resumingWithoutFsync
	controlWhilePaused
	keepJournal
	leap
	acceptAfterClose
	ignoreLeave
	ignoreDelete
)

// rulesTakenAway names, for each rule, a walk that goes wrong without it. Where seed is 0 no walk has: DESIGN.md says why the
// rule is kept all the same. TestWalkFindsRulesTakenAway -measure N gives the seeds.
var rulesTakenAway = []struct {
	name  string
	rules rules
	seed  uint64
}{
	{"1: a Fence names its mailstore's last Join", anyJoin, 118},
	{"1: only a member may fence", anyMailstoreFences, 966},
	{"1: nothing is accepted of a closed account", acceptAfterClose, 0},
	{"1: a record names the id of the one before", ignorePrevious, 0},
	{"2: a hole makes a copy a gap", ignoreGaps, 0},
	{"2: a position below the start of the log makes a gap", ignoreMissedPosition, 16},
	{"2: both", ignoreGaps | ignoreMissedPosition, 16},
	{"3: a waiter is answered by its own id", answerBySequence, 7},
	{"4: an append in doubt is repeated, not computed anew", oneInFlight, 2},
	{"5: no offset is judged twice", judgeTwice, 176},
	{"5: a position is stored with its rows", positionOutside, 6},
	{"6: opening is fsynced before the Open", openingWithoutFsync, 12},
	{"6: an opening that is cancelled takes the epoch of its Open", cancelWithinEpoch, 12},
	{"7: local commits are fsynced", localWithoutFsync, 2},
	{"7: journal commits are fsynced", journalWithoutFsync, 1},
	{"7: a change of who commits is fsynced", modeWithoutFsync, 0},
	{"7: a bulk load is fsynced", loadWithoutFsync, 34},
	{"8: nothing is served before the end was read", serveBeforeEnd, 6},
	{"9: nobody fences before the end was read", fenceBeforeEnd, 0},
	{"9: only a complete copy fences", fenceIncomplete, 75},
	{"10: parts are kept apart by id", mixParts, 10},
	{"10: a position never passes an open transaction", positionPastParts, 8},
	{"10: nor does it where a copy is handed over", handOverPastParts, 4218},
	{"11: a paused account is not fenced", fencePaused, 1},
	{"11: a Fence that meets a journal means diverged", keepJournal, 3},
	{"11: a Fence that accepts loss leaps", leap, 3},
	{"11: no snapshot is given while paused", snapshotWhilePaused, 2157},
	{"11: resuming is marked", resumingUnmarked, 119},
	{"11: resuming is fsynced before the Resume", resumingWithoutFsync, 409},
	{"11: no other record while paused", controlWhilePaused, 324},
	{"5.1: every attempt has its own Join", reuseJoin, 25},
	{"5.1: a Join voids the copy that was", ignoreOwnJoin, 85},
	{"5.1: no snapshot before its Join was read", snapshotBeforeJoin, 25},
	{"5.2: a snapshot's offset is that of its rows", snapshotOffsetLater, 221},
	{"5.2: a primary is never overwritten", overwritePrimary, 0},
	{"a Leave removes the copy", ignoreLeave, 22},
	{"a Delete removes every copy", ignoreDelete, 135},
}

// searchedSeeds bounds the search for a walk that shows what a rule is for, where the one that is named shows it no more.
const searchedSeeds = 3000

var (
	measureRules  = flag.Uint64("measure", 0, "measure how many of so many walks go wrong without each rule")
	measuredRules = flag.String("rules", "", "measure only the rules whose names hold this")
)

// TestWalkFindsRulesTakenAway shows that the walks are able to find what each rule is for.
func TestWalkFindsRulesTakenAway(t *testing.T) {
	if *measureRules > 0 {
		measure(t)
		return
	}
	for _, r := range rulesTakenAway {
		if r.seed == 0 || walk(r.seed, r.rules, false).check.violation != "" {
			continue
		}
		seed := uint64(1)
		for seed <= searchedSeeds && walk(seed, r.rules, false).check.violation == "" {
			seed++
		}
		if seed > searchedSeeds {
			t.Errorf("%q was taken away, and none of %d walks went wrong", r.name, searchedSeeds)
		} else {
			t.Logf("%q: seed %d goes wrong, seed %d no more", r.name, seed, r.seed)
		}
	}
}

func measure(t *testing.T) {
	for _, r := range rulesTakenAway {
		if !strings.Contains(r.name, *measuredRules) {
			continue
		}
		first, found := uint64(0), map[string]int{}
		for seed := uint64(1); seed <= *measureRules; seed++ {
			w := walk(seed, r.rules, false)
			if w.check.violation == "" {
				continue
			}
			found[w.check.class()]++
			if first == 0 {
				first = seed
			}
		}
		t.Logf("%-55s first found by seed %4d, of %d walks: %v", r.name, first, *measureRules, found)
	}
}
