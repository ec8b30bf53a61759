package imap

import (
	"strings"

	"mailreplica/internal/imap/wire"
	"mailreplica/internal/mailbox"
)

var systemFlags = [...]struct {
	name string
	flag mailbox.SystemFlags
}{
	{wire.FlagAnswered, mailbox.Answered},
	{wire.FlagFlagged, mailbox.Flagged},
	{wire.FlagDeleted, mailbox.Deleted},
	{wire.FlagSeen, mailbox.Seen},
	{wire.FlagDraft, mailbox.DraftFlag},
}

// flagsOf makes flags of their names, as the grammar gives them.
func flagsOf(names []string) mailbox.Flags {
	var f mailbox.Flags
next:
	for _, name := range names {
		for _, known := range systemFlags {
			if known.name == name {
				f.System |= known.flag
				continue next
			}
		}
		f.Keywords = append(f.Keywords, name)
	}
	return f
}

// systemLists are all sets of system flags as FETCH lists them.
var systemLists = func() (lists [mailbox.AllSystemFlags + 1]string) {
	for set := range lists {
		var names []string
		for _, known := range systemFlags {
			if mailbox.SystemFlags(set)&known.flag != 0 {
				names = append(names, known.name)
			}
		}
		lists[set] = strings.Join(names, " ")
	}
	return lists
}()

// writeFlags lists the flags of a message as this session sees them.
func (s *session) writeFlags(m *mailbox.Message) {
	list := systemLists[m.Flags.System&mailbox.AllSystemFlags]
	s.out.Raw("(")
	s.out.Raw(list)
	rest := list != ""
	add := func(name string) {
		if rest {
			s.out.Raw(" ")
		}
		s.out.Raw(name)
		rest = true
	}
	if s.view != nil && s.view.isRecent(m.UID) {
		add(wire.FlagRecent)
	}
	for _, keyword := range m.Flags.Keywords {
		add(keyword)
	}
	s.out.Raw(")")
}
