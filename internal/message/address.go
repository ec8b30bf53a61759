package message

import "strings"

// appendAddresses reads an address list (RFC 5322 3.4, with its obsolete forms) and appends what it holds. It makes the
// best of what is malformed and goes on behind the next comma.
func (p *parser) appendAddresses(list []Address, value []byte) []Address {
	a := addressScanner{scanner: scanner{b: value, keep: true}, list: list}
	room := addressesMax - p.addresses
	before := len(list)
	for !a.done() && len(a.list)-before < room && p.textBytes < textBytesMax {
		n := len(a.list)
		a.element()
		for _, added := range a.list[n:] {
			p.textBytes += len(added.Name) + len(added.Route) + len(added.Mailbox) + len(added.Host)
		}
	}
	if a.inGroup { // not ended by the header, or cut by a limit
		a.list = append(a.list, Address{Group: GroupEnd})
	}
	p.addresses += len(a.list) - before
	return a.list
}

type addressScanner struct {
	scanner
	list    []Address
	inGroup bool
}

// word is a piece of a display name or of a local part.
type word struct {
	text   string
	quoted bool
	spaced bool // blanks or a comment precede it
}

// element reads one mailbox, or the start or the end of a group, with the separator that follows.
func (a *addressScanner) element() {
	a.comment = ""
	var words []word
	for {
		spaced := a.skip()
		switch c := a.peek(); {
		case a.done():
			a.bare(words)
			return
		case c == ',':
			a.i++
			a.bare(words)
			return
		case c == ';': // ends a group; outside, some programs separate addresses so
			a.i++
			a.bare(words)
			a.endGroup()
			return
		case c == ':' && !a.inGroup && len(words) > 0:
			a.i++
			a.list = append(a.list, Address{Mailbox: phrase(words), Group: GroupStart})
			a.inGroup = true
			return
		case c == '<':
			a.angle(words)
			return
		case c == '@':
			if a.spec(words) {
				return
			}
			words = []word{{text: a.takeLast()}} // "a@b <a@b>": the first is a display name
		case c == '"':
			words = append(words, word{a.quoted(), true, spaced})
		default:
			words = append(words, word{a.run(), false, spaced})
		}
	}
}

func (a *addressScanner) endGroup() {
	if a.inGroup {
		a.list = append(a.list, Address{Group: GroupEnd})
		a.inGroup = false
	}
}

// run reads bytes that mean nothing special here; at least one.
func (a *addressScanner) run() string {
	start := a.i
	for a.i++; !a.done(); a.i++ {
		switch c := a.b[a.i]; {
		case isBlank(c), c == '(', c == '<', c == '@', c == '"', c == ',', c == ';', c == ':':
			return string(a.b[start:a.i])
		}
	}
	return string(a.b[start:a.i])
}

// phrase joins words to a display name.
func phrase(words []word) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = w.text
	}
	return strings.Trim(strings.Join(texts, " "), blanks)
}

// localPart takes the local part from the end of the words; what stands before it, apart by blanks, is a name. Blanks
// around dots do not part words (RFC 5322 4.4 obs-local-part).
func localPart(words []word) (name, local string) {
	from := max(len(words)-1, 0)
	for from > 0 && joined(words[from-1], words[from]) {
		from--
	}
	var b strings.Builder
	for _, w := range words[from:] {
		b.WriteString(w.text)
	}
	return phrase(words[:from]), b.String()
}

func joined(before, w word) bool {
	return !w.spaced || !w.quoted && strings.HasPrefix(w.text, ".") || !before.quoted && strings.HasSuffix(before.text, ".")
}

// bare adds what is no address by its form: a lone word is a local part, more are a display name.
func (a *addressScanner) bare(words []word) {
	switch {
	case len(words) == 0 && a.comment == "":
	case len(words) == 1 && !words[0].quoted:
		a.list = append(a.list, Address{Mailbox: words[0].text, Name: a.comment})
	case len(words) > 0:
		a.list = append(a.list, Address{Name: phrase(words)})
	}
}

// spec reads the rest of local@domain, and its separator. It reports false, with the address on the list all the same,
// if an angle address follows that makes it a display name.
func (a *addressScanner) spec(words []word) bool {
	name, local := localPart(words)
	a.i++
	host := a.domain()
	a.skip()
	if name == "" {
		name = a.comment
	}
	a.list = append(a.list, Address{Name: name, Mailbox: local, Host: host})
	if a.is('<') {
		return false
	}
	a.separator()
	return true
}

// takeLast removes the last address from the list and gives it as text.
func (a *addressScanner) takeLast() string {
	last := a.list[len(a.list)-1]
	a.list = a.list[:len(a.list)-1]
	text := last.Mailbox + "@" + last.Host
	if last.Name != "" {
		text = last.Name + " " + text
	}
	return text
}

// angle reads "<" [route ":"] local-part ["@" domain] ">", whose display name was read.
func (a *addressScanner) angle(words []word) {
	addr := Address{Name: phrase(words)}
	a.i++
	a.skip()
	if a.is('@') {
		addr.Route = a.route()
	}
	var local strings.Builder
	for {
		a.skip()
		switch c := a.peek(); {
		case a.done() || c == '>' || c == ',' || c == ';':
			addr.Mailbox = local.String()
			a.closeAngle(addr)
			return
		case c == '@':
			a.i++
			addr.Host = a.domain()
			addr.Mailbox = local.String()
			a.closeAngle(addr)
			return
		case c == '"':
			local.WriteString(a.quoted())
		default:
			local.WriteString(a.localRun())
		}
	}
}

// localRun is run inside angle brackets.
func (a *addressScanner) localRun() string {
	start := a.i
	for a.i++; !a.done(); a.i++ {
		switch c := a.b[a.i]; {
		case isBlank(c), c == '(', c == '>', c == '@', c == '"', c == ',', c == ';':
			return string(a.b[start:a.i])
		}
	}
	return string(a.b[start:a.i])
}

func (a *addressScanner) closeAngle(addr Address) {
	a.skip()
	if a.is('>') {
		a.i++
	}
	a.list = append(a.list, addr)
	a.separator()
}

// route reads a source route (RFC 5322 4.4 obs-route), which begins with "@", and its colon. Without a colon it is
// none: the scanner goes back once.
func (a *addressScanner) route() string {
	start := a.i
	var domains []string
	for a.is('@') {
		a.i++
		domains = append(domains, "@"+a.domain())
		for a.skip(); a.is(','); a.skip() {
			a.i++
		}
	}
	if !a.is(':') {
		a.i = start
		return ""
	}
	a.i++
	return strings.Join(domains, ",")
}

// domain reads a dot-atom or a domain literal; blanks and comments may stand around its dots.
func (a *addressScanner) domain() string {
	a.skip()
	if a.is('[') {
		return a.literal()
	}
	var b strings.Builder
	for {
		start := a.i
		for !a.done() && isDomainByte(a.b[a.i]) {
			a.i++
		}
		b.Write(a.b[start:a.i])
		ended := a.i == start || a.b[a.i-1] != '.'
		a.skip()
		if ended && !a.is('.') || a.done() || !isDomainByte(a.b[a.i]) {
			return b.String()
		}
	}
}

func isDomainByte(c byte) bool {
	return !isBlank(c) && !strings.ContainsRune(`()<>@,;:"[]\`, rune(c))
}

// literal reads a domain literal with its brackets.
func (a *addressScanner) literal() string {
	start := a.i
	for !a.done() {
		a.i++
		if a.b[a.i-1] == ']' {
			break
		}
	}
	return string(withoutLineEnds(a.b[start:a.i]))
}

// separator passes over whatever follows an address, up to and including the comma, or up to the end of a group.
func (a *addressScanner) separator() {
	for a.skip(); !a.done(); a.skip() {
		switch a.peek() {
		case ',':
			a.i++
			return
		case ';':
			a.i++
			a.endGroup()
			return
		case '"':
			a.quoted()
		default:
			a.i++
		}
	}
}
