package mailbox

import (
	"cmp"
	"slices"
)

// Marking is a run of a folder's messages, all of which were there before, that a change has done the same to: system flags were set and
// cleared, and keywords replaced. What else they have is as it was, but for the mod-sequence.
type Marking struct {
	FolderID   ItemID
	From, To   UID // inclusive, and each UID between is a message
	Set, Clear SystemFlags
	Reworded   bool
	Keywords   []string // that all have now, if they were reworded

	always, never SystemFlags // that all have now, and that none has
}

// flagged is messages as they were, and as they are.
type flagged struct{ was, now []Message }

// markings are the runs among messages of a folder that got flags.
func (s *folderState) markings(sequence Sequence) (all []Marking) {
	type pair struct{ was, now *Message }
	var pairs []pair
	for _, f := range s.flagged {
		pairs = slices.Grow(pairs, len(f.now))
		for i := range f.now {
			pairs = append(pairs, pair{&f.was[i], &f.now[i]})
		}
	}
	if len(s.flagged) > 1 {
		slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(a.now.UID, b.now.UID) })
	}
	rows := s.messages.all()
	for _, p := range pairs {
		for rows[0].Key < p.now.UID {
			rows = rows[1:]
		}
		// One that the transaction has altered twice is no longer told by its last alteration alone.
		if p.was.ModSeq >= sequence || rows[0].Row != p.now {
			continue
		}
		if n := len(all); n == 0 || !all[n-1].takes(p.was, p.now) {
			all = append(all, newMarking(p.was, p.now))
		}
	}
	return all
}

func newMarking(was, now *Message) Marking {
	return Marking{
		FolderID: now.FolderID, From: now.UID, To: now.UID,
		Set: now.Flags.System &^ was.Flags.System, Clear: was.Flags.System &^ now.Flags.System,
		Reworded: !slices.Equal(was.Flags.Keywords, now.Flags.Keywords), Keywords: now.Flags.Keywords,
		always: now.Flags.System, never: AllSystemFlags &^ now.Flags.System,
	}
}

// takes takes in the message that follows, if the run can be described with it: a flag that is set in one must be there in all.
func (m *Marking) takes(was, now *Message) bool {
	set := m.Set | now.Flags.System&^was.Flags.System
	cleared := m.Clear | was.Flags.System&^now.Flags.System
	always, never := m.always&now.Flags.System, m.never&^now.Flags.System
	if now.UID != m.To+1 || set&^always != 0 || cleared&^never != 0 || m.Reworded == slices.Equal(was.Flags.Keywords, now.Flags.Keywords) ||
		m.Reworded && !slices.Equal(m.Keywords, now.Flags.Keywords) {
		return false
	}
	m.To, m.Set, m.Clear, m.always, m.never = now.UID, set, cleared, always, never
	return true
}
