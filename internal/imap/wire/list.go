package wire

import "strings"

// List holds the arguments of LIST (RFC 3501 section 6.3.8, RFC 5258, RFC 5819, RFC 6154).
type List struct {
	Select    ListSelect
	Reference string
	Patterns  []string // decoded; "%" and "*" are wildcards
	Return    ListReturn
	Extended  bool // any of selection options, a list of patterns, return options was given
}

// ListSelect says which mailboxes are listed.
type ListSelect struct{ Subscribed, Remote, RecursiveMatch, SpecialUse bool }

// ListReturn says what is told of them.
type ListReturn struct {
	Subscribed, Children, SpecialUse bool
	Status                           []StatusItem // nil if not asked for
}

// LSub holds the arguments of LSUB.
type LSub struct{ Reference, Pattern string }

// Status holds the arguments of STATUS.
type Status struct {
	Mailbox string
	Items   []StatusItem // at least one, each once
}

// StatusItem is an item of STATUS, spelled as on the wire.
type StatusItem string

// The items of STATUS: RFC 3501, RFC 7162 (HIGHESTMODSEQ), RFC 8438 (SIZE), RFC 7889 (APPENDLIMIT), RFC 9051 (DELETED).
const (
	StatusMessages      StatusItem = "MESSAGES"
	StatusRecent        StatusItem = "RECENT"
	StatusUIDNext       StatusItem = "UIDNEXT"
	StatusUIDValidity   StatusItem = "UIDVALIDITY"
	StatusUnseen        StatusItem = "UNSEEN"
	StatusDeleted       StatusItem = "DELETED"
	StatusSize          StatusItem = "SIZE"
	StatusHighestModSeq StatusItem = "HIGHESTMODSEQ"
	StatusAppendLimit   StatusItem = "APPENDLIMIT"
)

// Every mailbox of an account is matched against every pattern.
const (
	patternBytesMax = 4096 // of all patterns together, each with its reference
	patternsMax     = 64
)

func parseList(p *parser) any {
	l := &List{}
	p.space()
	if p.peek() == '(' {
		l.Extended = true
		p.list(func() { l.Select.add(p, p.keyword()) })
		p.space()
		if s := l.Select; s.RecursiveMatch && !s.Subscribed && !s.SpecialUse {
			p.fail("RECURSIVEMATCH needs another selection option") // RFC 5258 section 3.1
		}
	}
	l.Reference = p.mailbox()
	p.space()
	if p.peek() == '(' {
		l.Extended = true
		size := 0
		p.list(func() {
			pattern := p.pattern(l.Reference)
			size += len(l.Reference) + len(pattern)
			if l.Patterns = append(l.Patterns, pattern); len(l.Patterns) > patternsMax || size > patternBytesMax {
				p.fail("Too many patterns")
			}
		})
		if len(l.Patterns) == 0 {
			p.fail("Expected a pattern")
		}
	} else {
		l.Patterns = []string{p.pattern(l.Reference)}
	}
	if p.another() {
		l.Extended = true
		if p.keyword() != "RETURN" {
			p.fail("Expected RETURN")
		}
		p.space()
		p.list(func() { l.Return.add(p, p.keyword()) })
	}
	return l
}

func (s *ListSelect) add(p *parser, option string) {
	switch option {
	case "SUBSCRIBED":
		s.Subscribed = true
	case "REMOTE":
		s.Remote = true
	case "RECURSIVEMATCH":
		s.RecursiveMatch = true
	case "SPECIAL-USE":
		s.SpecialUse = true
	default:
		p.fail("Unknown selection option")
	}
}

func (r *ListReturn) add(p *parser, option string) {
	switch option {
	case "SUBSCRIBED":
		r.Subscribed = true
	case "CHILDREN":
		r.Children = true
	case "SPECIAL-USE":
		r.SpecialUse = true
	case "STATUS":
		p.space()
		r.Status = p.statusItems()
	default:
		p.fail("Unknown return option")
	}
}

// pattern takes list-mailbox, which is matched behind a reference. It is decoded like a name, for wildcards are no
// characters of an encoded run.
func (p *parser) pattern(reference string) string {
	var encoded string
	if c := p.peek(); c == '"' || c == '{' {
		encoded = p.string()
	} else {
		encoded = p.word(listChar, "a pattern")
	}
	if len(reference)+len(encoded) > patternBytesMax {
		p.fail("Pattern too long")
		return ""
	}
	return decodePattern(encoded)
}

func parseLSub(p *parser) any {
	l := &LSub{Reference: p.argument()}
	p.space()
	l.Pattern = p.pattern(l.Reference)
	return l
}

func parseStatus(p *parser) any {
	s := &Status{Mailbox: p.argument()}
	p.space()
	s.Items = p.statusItems()
	return s
}

func (p *parser) statusItems() []StatusItem {
	var items []StatusItem
	seen := map[StatusItem]bool{}
	p.list(func() {
		item := StatusItem(p.keyword())
		switch item {
		case StatusMessages, StatusRecent, StatusUIDNext, StatusUIDValidity, StatusUnseen, StatusDeleted, StatusSize,
			StatusHighestModSeq, StatusAppendLimit:
		default:
			p.fail("Unknown status item")
		}
		if !seen[item] {
			seen[item] = true
			items = append(items, item)
		}
	})
	if len(items) == 0 {
		p.fail("Expected a status item")
	}
	return items
}

// MatchMailbox reports whether a name matches a pattern of LIST: "*" is any text, "%" any text without the delimiter.
// INBOX, and it alone, matches without regard to case. The time is bounded by the product of the lengths.
func MatchMailbox(pattern, name string, delimiter byte) bool {
	if name == inbox && strings.EqualFold(pattern, inbox) {
		return true
	}
	if strings.HasPrefix(name, inbox) && len(pattern) >= len(inbox) && strings.EqualFold(pattern[:len(inbox)], inbox) {
		pattern = inbox + pattern[len(inbox):]
	}
	// reach[i] says whether what was read of the name can end before pattern[i].
	reach := make([]bool, len(pattern)+1)
	reach[0] = true
	passWildcards(pattern, reach)
	next := make([]bool, len(pattern)+1)
	for i := 0; i < len(name); i++ {
		clear(next)
		for j, here := range reach[:len(pattern)] {
			switch {
			case !here:
			case pattern[j] == '*', pattern[j] == '%' && name[i] != delimiter:
				next[j] = true
			case pattern[j] == name[i]:
				next[j+1] = true
			}
		}
		passWildcards(pattern, next)
		reach, next = next, reach
	}
	return reach[len(pattern)]
}

// passWildcards lets wildcards match nothing.
func passWildcards(pattern string, reach []bool) {
	for j := range len(pattern) {
		if reach[j] && (pattern[j] == '*' || pattern[j] == '%') {
			reach[j+1] = true
		}
	}
}
