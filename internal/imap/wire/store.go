package wire

import "strings"

// Store holds the arguments of STORE and UID STORE (RFC 3501 section 6.4.6, RFC 7162).
type Store struct {
	UID               bool
	Set               SequenceSet
	UnchangedSince    uint64
	HasUnchangedSince bool
	Op                StoreOp
	Silent            bool
	Flags             []string // duplicates are dropped
}

// StoreOp is what STORE does with the flags.
type StoreOp int

// The ways to store.
const (
	StoreReplace StoreOp = iota + 1 // FLAGS
	StoreAdd                        // +FLAGS
	StoreRemove                     // -FLAGS
)

// Copy holds the arguments of COPY and UID COPY.
type Copy struct {
	UID     bool
	Set     SequenceSet
	Mailbox string
}

// Move holds the arguments of MOVE and UID MOVE (RFC 6851).
type Move struct {
	UID     bool
	Set     SequenceSet
	Mailbox string
}

// Expunge holds the arguments of EXPUNGE and UID EXPUNGE (RFC 4315).
type Expunge struct {
	UID bool
	Set SequenceSet // of UID EXPUNGE
}

func parseStore(p *parser, uid bool) any {
	s := &Store{UID: uid}
	p.space()
	s.Set = p.sequenceSet()
	p.space()
	if p.peek() == '(' {
		p.list(func() {
			if p.keyword() != "UNCHANGEDSINCE" {
				p.fail("Unknown modifier")
			}
			p.space()
			s.UnchangedSince, s.HasUnchangedSince = p.number63(), true
		})
		p.space()
	}
	s.Op = StoreReplace
	if p.take('+') {
		s.Op = StoreAdd
	} else if p.take('-') {
		s.Op = StoreRemove
	}
	name, silent := strings.CutSuffix(p.keyword(), ".SILENT")
	if name != "FLAGS" {
		p.fail("Expected FLAGS")
	}
	s.Silent = silent
	p.space()
	s.Flags = p.flags()
	return s
}

func parseCopy(p *parser, uid bool) any {
	c := &Copy{UID: uid}
	p.space()
	c.Set = p.sequenceSet()
	c.Mailbox = p.argument()
	return c
}

func parseMove(p *parser, uid bool) any {
	m := &Move{UID: uid}
	p.space()
	m.Set = p.sequenceSet()
	m.Mailbox = p.argument()
	return m
}

func parseUIDExpunge(p *parser) any {
	p.space()
	return &Expunge{UID: true, Set: p.sequenceSet()}
}
