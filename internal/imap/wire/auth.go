package wire

import (
	"encoding/base64"
	"strings"
)

// Authenticate holds the arguments of AUTHENTICATE (RFC 3501 section 6.2.2, RFC 4959).
type Authenticate struct {
	Mechanism  string // upper case
	Initial    []byte // decoded; not nil but empty if the client sent "="
	HasInitial bool
}

// Login holds the arguments of LOGIN.
type Login struct{ User, Password string }

// ID holds the arguments of ID (RFC 2971); no fields for NIL.
type ID struct{ Fields []IDField }

// IDField is one field that a client tells of itself. Value is nil for NIL.
type IDField struct {
	Name  string
	Value *string
}

// Enable holds the arguments of ENABLE (RFC 5161), in upper case.
type Enable struct{ Capabilities []string }

const idFieldsMax = 30 // RFC 2971 section 3.3

func parseAuthenticate(p *parser) any {
	a := &Authenticate{}
	p.space()
	a.Mechanism = p.keyword()
	if !p.another() {
		return a
	}
	response, ok := DecodeSASL(p.word(astringChar, "an initial response"))
	if !ok {
		p.fail("The initial response is not base64")
	}
	a.Initial, a.HasInitial = response, true
	return a
}

// DecodeSASL decodes a client's response in AUTHENTICATE; "=" is an empty one (RFC 4959 section 3). A lone "*", which
// cancels, is the caller's to look for.
func DecodeSASL(line string) (response []byte, ok bool) {
	if line == "=" {
		return []byte{}, true
	}
	response, err := base64.StdEncoding.DecodeString(line)
	return response, err == nil && !strings.ContainsAny(line, "\r\n")
}

func parseLogin(p *parser) any {
	l := &Login{}
	p.space()
	l.User = p.astring()
	p.space()
	l.Password = p.astring()
	return l
}

func parseID(p *parser) any {
	id := &ID{}
	p.space()
	if p.peek() != '(' {
		if !strings.EqualFold(p.run(atomChar), "NIL") {
			p.fail("Expected a list or NIL")
		}
		return id
	}
	p.list(func() {
		f := IDField{Name: p.string()}
		p.space()
		f.Value = p.nstring()
		if id.Fields = append(id.Fields, f); len(id.Fields) > idFieldsMax {
			p.fail("Too many fields")
		}
	})
	return id
}

func parseEnable(p *parser) any {
	e := &Enable{}
	p.space()
	e.Capabilities = []string{strings.ToUpper(p.atom())}
	for p.another() {
		e.Capabilities = append(e.Capabilities, strings.ToUpper(p.atom()))
	}
	return e
}
