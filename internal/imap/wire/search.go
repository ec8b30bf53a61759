package wire

import (
	"math"
	"strings"
)

// Search holds the arguments of SEARCH and UID SEARCH (RFC 3501 section 6.4.4, RFC 4731, RFC 5182).
type Search struct {
	UID     bool
	Return  *SearchReturn // nil if RETURN was not given: answer with SEARCH
	Charset string        // upper case; empty if not given
	Key     SearchKey     // the keys together, as an AndKey if there are several
	ModSeq  bool          // MODSEQ occurs: the answer carries the highest mod-sequence (RFC 7162 section 3.1.5)
}

// SearchReturn says what ESEARCH tells. An empty list has become All (RFC 4731 section 3.1).
type SearchReturn struct{ Min, Max, All, Count, Save bool }

// SearchKey is one of the types below.
type SearchKey interface{ searchKey() }

type (
	// AllKey matches every message.
	AllKey struct{}
	// AndKey matches what all keys match.
	AndKey []SearchKey
	// OrKey matches what either key matches.
	OrKey struct{ Left, Right SearchKey }
	// NotKey matches what the key does not match.
	NotKey struct{ Key SearchKey }
	// SetKey matches messages by sequence number or UID.
	SetKey struct {
		UID bool
		Set SequenceSet
	}
	// FlagKey matches messages with a flag: a system flag as spelled in this package, or a keyword.
	FlagKey struct{ Flag string }
	// DateKey matches by a day.
	DateKey struct {
		Sent bool // the Date header field, else the internal date; both without regard to time and zone
		Op   DateOp
		Date Date
	}
	// HeaderKey matches messages with a header field that contains a text. FROM, TO, CC, BCC and SUBJECT are such keys.
	HeaderKey struct{ Field, Value string }
	// TextKey matches a text in the body, or in header and body.
	TextKey struct {
		BodyOnly bool
		Value    string
	}
	// SizeKey matches messages larger or smaller than a size in bytes.
	SizeKey struct {
		Larger bool
		Size   uint64
	}
	// AgeKey matches messages older or younger than some seconds (RFC 5032), counted from the internal date.
	AgeKey struct {
		Older   bool
		Seconds uint32
	}
	// ModSeqKey matches messages whose mod-sequence is at least this (RFC 7162 section 3.1.5).
	ModSeqKey struct{ ModSeq uint64 }
)

func (AllKey) searchKey()    {}
func (AndKey) searchKey()    {}
func (OrKey) searchKey()     {}
func (NotKey) searchKey()    {}
func (SetKey) searchKey()    {}
func (FlagKey) searchKey()   {}
func (DateKey) searchKey()   {}
func (HeaderKey) searchKey() {}
func (TextKey) searchKey()   {}
func (SizeKey) searchKey()   {}
func (AgeKey) searchKey()    {}
func (ModSeqKey) searchKey() {}

// DateOp compares with a day.
type DateOp int

// The comparisons.
const (
	DateBefore DateOp = iota + 1
	DateOn
	DateSince // on it or later
)

// searchDepthMax bounds how deep keys nest. Long chains of OR nest as deep as they are long.
const searchDepthMax = 1000

// searchTextsMax bounds the texts that are looked for in bodies: each is a walk through every message.
const searchTextsMax = 100

func parseSearch(p *parser, uid bool) any {
	s := &Search{UID: uid}
	p.space()
	word := p.lookAhead()
	if word == "RETURN" {
		p.keyword()
		p.space()
		s.Return = p.searchReturn()
		p.space()
		word = p.lookAhead()
	}
	if word == "CHARSET" {
		p.keyword()
		p.space()
		s.Charset = strings.ToUpper(p.astring())
		p.space()
	}
	s.Key = p.searchKeys(func() bool { return p.another() }, &s.ModSeq)
	return s
}

// lookAhead is the name at the current position, in upper case, without taking it.
func (p *parser) lookAhead() string {
	start := p.pos
	name := strings.ToUpper(p.run(nameChar))
	p.pos = start
	return name
}

func (p *parser) searchReturn() *SearchReturn {
	r := &SearchReturn{}
	p.list(func() {
		switch p.keyword() {
		case "MIN":
			r.Min = true
		case "MAX":
			r.Max = true
		case "ALL":
			r.All = true
		case "COUNT":
			r.Count = true
		case "SAVE":
			r.Save = true
		default:
			p.fail("Unknown return option")
		}
	})
	if *r == (SearchReturn{}) {
		r.All = true
	}
	return r
}

// searchKeys takes keys as long as more says so.
func (p *parser) searchKeys(more func() bool, modSeq *bool) SearchKey {
	keys := AndKey{p.searchKey(modSeq)}
	for p.err == nil && more() {
		keys = append(keys, p.searchKey(modSeq))
	}
	if len(keys) == 1 {
		return keys[0]
	}
	return keys
}

func (p *parser) searchKey(modSeq *bool) SearchKey {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > searchDepthMax {
		p.fail("Search keys nest too deep")
	}
	if p.err != nil {
		return nil
	}
	switch c := p.peek(); {
	case c == '(':
		p.take('(')
		p.skipSpaces()
		key := p.searchKeys(func() bool { return p.another() && p.peek() != ')' }, modSeq)
		p.expect(')')
		return key
	case c == '$', c == '*', c >= '0' && c <= '9':
		return SetKey{Set: p.sequenceSet()}
	}
	name := p.keyword()
	switch name {
	case "NOT":
		p.space()
		return NotKey{p.searchKey(modSeq)}
	case "OR":
		p.space()
		left := p.searchKey(modSeq)
		p.space()
		return OrKey{left, p.searchKey(modSeq)}
	case "MODSEQ":
		*modSeq = true
		return p.modSeqKey()
	}
	if key := flagKey(name); key != nil {
		return key
	}
	return p.argumentKey(name)
}

// flagKey is the key without arguments of that name, or nil.
func flagKey(name string) SearchKey {
	switch name {
	case "ALL":
		return AllKey{}
	case "RECENT":
		return FlagKey{FlagRecent}
	case "NEW":
		return AndKey{FlagKey{FlagRecent}, NotKey{FlagKey{FlagSeen}}}
	case "OLD":
		return NotKey{FlagKey{FlagRecent}}
	}
	plain, negated := strings.CutPrefix(name, "UN")
	var key SearchKey
	switch plain {
	case "ANSWERED":
		key = FlagKey{FlagAnswered}
	case "DELETED":
		key = FlagKey{FlagDeleted}
	case "DRAFT":
		key = FlagKey{FlagDraft}
	case "FLAGGED":
		key = FlagKey{FlagFlagged}
	case "SEEN":
		key = FlagKey{FlagSeen}
	default:
		return nil
	}
	if negated {
		return NotKey{key}
	}
	return key
}

// argumentKey takes the arguments of a key of that name.
func (p *parser) argumentKey(name string) SearchKey {
	p.space()
	switch name {
	case "BEFORE":
		return DateKey{Op: DateBefore, Date: p.date()}
	case "ON":
		return DateKey{Op: DateOn, Date: p.date()}
	case "SINCE":
		return DateKey{Op: DateSince, Date: p.date()}
	case "SENTBEFORE":
		return DateKey{Sent: true, Op: DateBefore, Date: p.date()}
	case "SENTON":
		return DateKey{Sent: true, Op: DateOn, Date: p.date()}
	case "SENTSINCE":
		return DateKey{Sent: true, Op: DateSince, Date: p.date()}
	case "FROM", "TO", "CC", "BCC", "SUBJECT":
		return HeaderKey{name[:1] + strings.ToLower(name[1:]), p.astring()}
	case "HEADER":
		field := p.astring()
		p.space()
		return HeaderKey{field, p.astring()}
	case "BODY", "TEXT":
		if p.texts++; p.texts > searchTextsMax {
			p.fail("Too many texts")
		}
		return TextKey{BodyOnly: name == "BODY", Value: p.astring()}
	case "LARGER", "SMALLER":
		return SizeKey{Larger: name == "LARGER", Size: p.number63()}
	case "OLDER", "YOUNGER":
		return AgeKey{Older: name == "OLDER", Seconds: uint32(p.number(math.MaxUint32))}
	case "KEYWORD":
		return FlagKey{p.flagKeyword()}
	case "UNKEYWORD":
		return NotKey{FlagKey{p.flagKeyword()}}
	case "UID":
		return SetKey{UID: true, Set: p.sequenceSet()}
	}
	p.fail("Unknown search key")
	return nil
}

// modSeqKey takes the arguments of MODSEQ. An entry, the flag whose own mod-sequence would count, is read and not looked
// at: a message has one mod-sequence here, which RFC 7162 section 3.1.5 allows.
func (p *parser) modSeqKey() SearchKey {
	p.space()
	if p.peek() == '"' {
		p.string()
		p.space()
		switch p.keyword() {
		case "PRIV", "SHARED", "ALL":
		default:
			p.fail("Expected priv, shared or all")
		}
		p.space()
	}
	return ModSeqKey{p.number63()}
}
