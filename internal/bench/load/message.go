package load

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
)

const (
	templates       = 64
	idDigits        = 16
	messageBytesMin = 1 << 10
	lineChars       = 72
)

// Messages makes mails of one size: deterministic ones, but for an identifier that is new in each, so that no server takes two for
// the same. They look like mail does that has passed two servers: headers, a text and an HTML part.
type Messages struct {
	templates [][]byte
	places    [][]int // where the identifier stands in each
	next      atomic.Uint64
}

// NewMessages makes what messages of a size (1 KiB at least) are made from. Identifiers begin with the time, so that those of two
// processes differ.
func NewMessages(size int) *Messages {
	m := &Messages{}
	m.next.Store(uint64(time.Now().UnixMicro()) << 12)
	random := rand.New(rand.NewPCG(1, uint64(size)))
	for i := range templates {
		text := template(random, i, max(size, messageBytesMin))
		var places []int
		for at := 0; ; {
			found := bytes.Index(text[at:], []byte(idMark))
			if found < 0 {
				break
			}
			places = append(places, at+found)
			at += found + idDigits
		}
		m.templates, m.places = append(m.templates, text), append(m.places, places)
	}
	return m
}

// idMark stands where the identifier comes.
const idMark = "@@@@@@@@@@@@@@@@"

// Append appends a new message.
func (m *Messages) Append(to []byte) []byte {
	n := m.next.Add(1)
	which := int(n % templates)
	begin := len(to)
	to = append(to, m.templates[which]...)
	for _, at := range m.places[which] {
		hex(to[begin+at:begin+at+idDigits], n)
	}
	return to
}

func hex(to []byte, n uint64) {
	const digits = "0123456789abcdef"
	for i := len(to) - 1; i >= 0; i-- {
		to[i] = digits[n&15]
		n >>= 4
	}
}

var words = strings.Fields(`the of and to in a is that for it as was with be by on not he his but at are this have from or had an they
which one you were all her she there would their we him been has when who will no more if out so up said what its about than into them
can only other time new some could these two may first then do any like my now over such our man me even most made after also did many
off before must well back through years where much your way down should because long each just state those people too mr how little
good world make very year still see own work men day get here between both being under three never know same last another while us
might great go come since against right came take used himself few house american use place during high without again home around
small however found mrs part school thought went say general once upon war left every don't does got united number hand course water
until always away public something fact less though far put head think called set almost enough end took government night yet system
better four nothing told eyes city going president why days present point didn't look find asked second group later next room social
business knew program give half side face toward white five let young form given per order large several national important rather
big among often early john things looked ever become best need within felt along children saw church light power least family
development interest others open thing seemed want area god members mind help country service turned door done problem`)

func prose(random *rand.Rand, chars int, lineEnd string) string {
	var b strings.Builder
	line := 0
	for b.Len() < chars {
		word := words[random.IntN(len(words))]
		if line+len(word)+1 > lineChars {
			b.WriteString(lineEnd)
			line = 0
		} else if line > 0 {
			b.WriteByte(' ')
			line++
		}
		b.WriteString(word)
		line += len(word)
	}
	return b.String()
}

func sentence(random *rand.Rand, n int) string {
	chosen := make([]string, n)
	for i := range chosen {
		chosen[i] = words[random.IntN(len(words))]
	}
	return strings.Join(chosen, " ")
}

// template is a message whose lines end with CRLF, and none of which begins with a dot.
func template(random *rand.Rand, i, size int) []byte {
	sender := fmt.Sprintf("sender%02d@example.org", i)
	boundary := fmt.Sprintf("=_part_%08x", random.Uint32())
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("Return-Path: <%s>", sender)
	line("Received: from relay.example.net (relay.example.net [192.0.2.25])")
	line("\tby mx.example.com (MTA) with ESMTPS id %s", idMark)
	line("\tfor <recipient@example.com>; Mon, 2 Mar 2026 10:%02d:%02d +0100 (CET)", i%60, random.IntN(60))
	line("Received: from client%d.example.org (unknown [198.51.100.%d])", i, 1+random.IntN(250))
	line("\tby relay.example.net (MTA) with ESMTPSA id %08X", random.Uint32())
	line("Message-ID: <%s.%d@example.org>", idMark, i)
	line("Date: Mon, 2 Mar 2026 10:%02d:07 +0100", i%60)
	line("From: \"%s\" <%s>", sentence(random, 2), sender)
	line("To: \"%s\" <recipient@example.com>", sentence(random, 2))
	line("Subject: %s", sentence(random, 5+random.IntN(4)))
	line("In-Reply-To: <%08x.%d@example.com>", random.Uint32(), i)
	line("References: <%08x.%d@example.com>", random.Uint32(), i)
	line("MIME-Version: 1.0")
	line("Content-Type: multipart/alternative; boundary=\"%s\"", boundary)
	line("")
	line("--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n", boundary)
	rest := size - b.Len() - 250
	line("%s\r\n", prose(random, max(80, rest/3), "\r\n"))
	line("--%s\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n", boundary)
	end := fmt.Sprintf("\r\n</p></body></html>\r\n\r\n--%s--\r\n", boundary)
	line("<html><body><p>")
	b.WriteString(prose(random, max(80, size-b.Len()-len(end)-12), "<br>\r\n"))
	b.WriteString(end)
	return b.Bytes()
}
