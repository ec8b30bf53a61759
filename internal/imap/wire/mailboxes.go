package wire

import "strings"

// Select holds the arguments of SELECT and EXAMINE (RFC 3501 section 6.3.1, RFC 7162).
type Select struct {
	Mailbox   string
	ReadOnly  bool // EXAMINE
	CondStore bool
	QResync   *QResync // nil if not asked for
}

// QResync is what a client knows of the mailbox that it selects (RFC 7162 section 3.2.5).
type QResync struct {
	UIDValidity uint32
	ModSeq      uint64
	Known       NumSet // UIDs; nil if not given
	MatchSeqs   NumSet // sequence numbers and
	MatchUIDs   NumSet // their UIDs; nil if not given
}

// Create holds the arguments of CREATE (RFC 6154 section 3).
type Create struct {
	Mailbox    string
	SpecialUse []string // as "\Drafts"
}

// Delete holds the arguments of DELETE.
type Delete struct{ Mailbox string }

// Rename holds the arguments of RENAME.
type Rename struct{ From, To string }

// Subscribe holds the arguments of SUBSCRIBE.
type Subscribe struct{ Mailbox string }

// Unsubscribe holds the arguments of UNSUBSCRIBE.
type Unsubscribe struct{ Mailbox string }

func parseSelect(p *parser, readOnly bool) any {
	s := &Select{Mailbox: p.argument(), ReadOnly: readOnly}
	if !p.another() {
		return s
	}
	p.list(func() {
		switch p.keyword() {
		case "CONDSTORE":
			s.CondStore = true
		case "QRESYNC":
			p.space()
			s.QResync = p.qresync()
		default:
			p.fail("Unknown parameter")
		}
	})
	return s
}

func (p *parser) qresync() *QResync {
	q := &QResync{}
	p.expect('(')
	q.UIDValidity = p.nonZero32()
	p.space()
	q.ModSeq = p.number63()
	if p.another() && p.peek() != '(' && p.peek() != ')' {
		q.Known = p.numSet(false)
		p.another()
	}
	if p.take('(') {
		q.MatchSeqs = p.numSet(false)
		p.space()
		q.MatchUIDs = p.numSet(false)
		p.expect(')')
	}
	p.skipSpaces()
	p.expect(')')
	return q
}

func parseCreate(p *parser) any {
	c := &Create{Mailbox: p.argument()}
	if !p.another() {
		return c
	}
	p.list(func() {
		if p.keyword() != "USE" {
			p.fail("Unknown parameter")
		}
		p.space()
		p.list(func() { c.SpecialUse = append(c.SpecialUse, p.specialUse()) })
	})
	return c
}

// specialUse takes a special-use attribute (RFC 6154 section 2), known or not; whether it is supported is the session's
// to say, with NO [USEATTR].
func (p *parser) specialUse() string {
	p.expect('\\')
	name := p.atom()
	for _, known := range [...]string{"All", "Archive", "Drafts", "Flagged", "Junk", "Sent", "Trash", "Important"} {
		if strings.EqualFold(name, known) {
			name = known
		}
	}
	return `\` + name
}
