package wire

// commands maps names to what parses their arguments, from the position after the name. Commands without arguments have
// noArguments, which returns nil. APPEND is not here: it is framed by itself (append.go).
var commands = map[string]func(*parser) any{
	"CAPABILITY": noArguments, "NOOP": noArguments, "LOGOUT": noArguments, "STARTTLS": noArguments,
	"NAMESPACE": noArguments, "CHECK": noArguments, "CLOSE": noArguments, "UNSELECT": noArguments, "IDLE": noArguments,

	"AUTHENTICATE": parseAuthenticate,
	"LOGIN":        parseLogin,
	"ID":           parseID,
	"ENABLE":       parseEnable,
	"SELECT":       func(p *parser) any { return parseSelect(p, false) },
	"EXAMINE":      func(p *parser) any { return parseSelect(p, true) },
	"CREATE":       parseCreate,
	"DELETE":       func(p *parser) any { return &Delete{Mailbox: p.argument()} },
	"RENAME":       func(p *parser) any { return &Rename{From: p.argument(), To: p.argument()} },
	"SUBSCRIBE":    func(p *parser) any { return &Subscribe{Mailbox: p.argument()} },
	"UNSUBSCRIBE":  func(p *parser) any { return &Unsubscribe{Mailbox: p.argument()} },
	"LIST":         parseList,
	"LSUB":         parseLSub,
	"STATUS":       parseStatus,
	"APPEND":       func(p *parser) any { p.fail("APPEND needs a message as a literal"); return nil },
	"EXPUNGE":      func(p *parser) any { return &Expunge{} },
	"SEARCH":       func(p *parser) any { return parseSearch(p, false) },
	"FETCH":        func(p *parser) any { return parseFetch(p, false) },
	"STORE":        func(p *parser) any { return parseStore(p, false) },
	"COPY":         func(p *parser) any { return parseCopy(p, false) },
	"MOVE":         func(p *parser) any { return parseMove(p, false) },

	"UID EXPUNGE": parseUIDExpunge,
	"UID SEARCH":  func(p *parser) any { return parseSearch(p, true) },
	"UID FETCH":   func(p *parser) any { return parseFetch(p, true) },
	"UID STORE":   func(p *parser) any { return parseStore(p, true) },
	"UID COPY":    func(p *parser) any { return parseCopy(p, true) },
	"UID MOVE":    func(p *parser) any { return parseMove(p, true) },
}

func noArguments(*parser) any { return nil }

// parseCommand parses a framed command.
func parseCommand(p *parser) (*Command, error) {
	c := &Command{Tag: tagOf(p.text)}
	if c.Tag == "" {
		return nil, &SyntaxError{Text: "Expected a tag"}
	}
	p.tag()
	p.space()
	c.Name = p.keyword()
	if c.Name == "UID" {
		p.space()
		c.Name = "UID " + p.keyword()
	}
	parse, known := commands[c.Name]
	if p.err != nil || !known || p.peek() != ' ' && p.peek() != 0 {
		return nil, &SyntaxError{Tag: c.Tag, Text: "Unknown command"}
	}
	c.Args = parse(p)
	p.end()
	if p.err != nil {
		return nil, &SyntaxError{Tag: c.Tag, Text: "Error in " + c.Name + ": " + p.err.Text}
	}
	return c, nil
}

// argument takes the space before a mailbox name, and the name.
func (p *parser) argument() string {
	p.space()
	return p.mailbox()
}
