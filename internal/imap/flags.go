package imap

import (
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

// flagNames are the flags of a message as this session sees them.
func (s *session) flagNames(m mailbox.Message) []string {
	names := make([]string, 0, 8+len(m.Flags.Keywords))
	for _, known := range systemFlags {
		if m.Flags.Has(known.flag) {
			names = append(names, known.name)
		}
	}
	if s.view != nil && s.view.isRecent(m.UID) {
		names = append(names, wire.FlagRecent)
	}
	return append(names, m.Flags.Keywords...)
}
