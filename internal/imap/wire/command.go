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
	if p.atEnd() {
		return nil, &SyntaxError{Text: "Empty command line"}
	}
	c := &Command{Tag: tagOf(p.text)}
	p.tag()
	p.space()
	c.Name = p.keyword()
	if c.Name == "UID" && p.err == nil {
		p.space()
		c.Name = "UID " + p.keyword()
	}
	if p.err == nil && p.peek() != ' ' && p.peek() != 0 {
		p.fail("Unknown command")
	}
	if p.err == nil {
		if parse, known := commands[c.Name]; known {
			c.Args = parse(p)
			p.end()
		} else {
			p.fail("Unknown command")
		}
	}
	if p.err == nil {
		return c, nil
	}
	p.err.Tag = c.Tag
	if _, known := commands[c.Name]; known {
		p.err.Text = "Error in " + c.Name + ": " + p.err.Text
	}
	return nil, p.err
}

// argument takes the space before a mailbox name, and the name.
func (p *parser) argument() string {
	p.space()
	return p.mailbox()
}
