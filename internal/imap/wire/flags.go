package wire

import "strings"

// System flags (RFC 3501 section 2.3.2), as they are spelled here whatever the client's case.
const (
	FlagSeen     = `\Seen`
	FlagAnswered = `\Answered`
	FlagFlagged  = `\Flagged`
	FlagDeleted  = `\Deleted`
	FlagDraft    = `\Draft`
	FlagRecent   = `\Recent`
)

const (
	flagsMax        = 256 // in one list
	keywordBytesMax = 255
)

// flagList takes a parenthesised list of flags; duplicates are dropped, without regard to case.
func (p *parser) flagList() []string {
	flags := []string{}
	p.list(func() { flags = p.addFlag(flags) })
	return flags
}

// flags takes a list with or without parentheses.
func (p *parser) flags() []string {
	if p.peek() == '(' {
		return p.flagList()
	}
	flags := p.addFlag(nil)
	for p.another() {
		flags = p.addFlag(flags)
	}
	return flags
}

func (p *parser) addFlag(flags []string) []string {
	flag := p.flag()
	for _, have := range flags {
		if strings.EqualFold(have, flag) {
			return flags
		}
	}
	if len(flags) == flagsMax {
		p.fail("Too many flags")
	}
	return append(flags, flag)
}

// flag takes a flag that a client may set: \Recent and system flags that do not exist are none.
func (p *parser) flag() string {
	if !p.take('\\') {
		return p.flagKeyword()
	}
	name := p.atom()
	for _, known := range [...]string{FlagSeen, FlagAnswered, FlagFlagged, FlagDeleted, FlagDraft} {
		if strings.EqualFold(name, known[1:]) {
			return known
		}
	}
	p.fail("Invalid system flag")
	return ""
}

func (p *parser) flagKeyword() string {
	keyword := p.word(atomChar, "a flag")
	if len(keyword) > keywordBytesMax {
		p.fail("Keyword too long")
	}
	return keyword
}
