package wire_test

import (
	"io"
	"strings"
	"testing"

	"mailreplica/internal/fault"
	"mailreplica/internal/imap/wire"
)

// exchange is what a client sends, chunk by chunk, and what the server saw.
type exchange struct{ client, want []string }

const big = attack + attack

var attackMessage = `AppendMessage{Size:58} ` + quote(attack)

func TestAppend(t *testing.T) {
	for name, test := range appends {
		t.Run(name, func(t *testing.T) { check(t, transcript(smallLimits, test.client...), test.want) })
	}
}

var appends = map[string]exchange{
	"plain, synchronising": {
		[]string{"a APPEND inbox {5}\r\n", "hello", "\r\nb NOOP\r\n"},
		[]string{`a APPEND Append{Mailbox:"INBOX"}`, "+", `AppendMessage{Size:5} "hello"`, "complete", "b NOOP", "left"},
	},
	"flags and date": {
		[]string{"a APPEND INBOX (\\seen $Forwarded) \" 5-Feb-2024 01:02:03 +0130\" " + nonSync("hi") + "\r\n"},
		[]string{`a APPEND Append{Mailbox:"INBOX"}`,
			`AppendMessage{Flags:["\\Seen" "$Forwarded"] Date: 5-Feb-2024 01:02:03 +0130 Size:2} "hi"`, "complete", "left"},
	},
	"several": {
		[]string{"a APPEND {2+}\r\nxy () " + nonSync(attack) + " (\\Draft) {3}\r\n", "abc ~{1+}\r\n\x00\r\nb NOOP\r\n"},
		[]string{`a APPEND Append{Mailbox:"xy"}`, `AppendMessage{Flags:[] Size:58} ` + quote(attack), "+",
			`AppendMessage{Flags:["\\Draft"] Size:3} "abc"`, `AppendMessage{Size:1 Binary:true} "\x00"`, "complete", "b NOOP", "left"},
	},
	"mailbox as a synchronising literal": {
		[]string{"a APPEND {2}\r\n", "xy {3}\r\n", "abc\r\n"},
		[]string{"+", `a APPEND Append{Mailbox:"xy"}`, "+", `AppendMessage{Size:3} "abc"`, "complete", "left"},
	},
	"NUL outside of literal8": {
		[]string{"a APPEND x " + nonSync("a\x00b") + "\r\n"},
		[]string{`a APPEND Append{Mailbox:"x"}`, `AppendMessage{Size:3} "a\x00b"`, "complete", "left"},
	},
	"empty": {
		[]string{"a APPEND x {0+}\r\n\r\n"},
		[]string{`a APPEND Append{Mailbox:"x"}`, `AppendMessage{} ""`, "complete", "left"},
	},
	"too big": {
		[]string{"a APPEND x " + nonSync(big) + "\r\nb NOOP\r\nc APPEND x {101}\r\n", "d NOOP\r\n"},
		[]string{"a NO [TOOBIG] Message too big", "b NOOP", "c NO [TOOBIG] Message too big", "d NOOP", "left"},
	},
	"the second too big": {
		[]string{"a APPEND x " + nonSync(attack) + " " + nonSync(big) + " " + nonSync(attack) + "\r\nb NOOP\r\n"},
		[]string{`a APPEND Append{Mailbox:"x"}`, attackMessage, "a NO [TOOBIG] Message too big", "b NOOP", "left"},
	},
	"bad flag": {
		[]string{"a APPEND x (\\Recent) " + nonSync(attack) + " (a) " + nonSync(attack) + "\r\nb NOOP\r\n"},
		[]string{"a BAD Error in APPEND: Invalid system flag", "b NOOP", "left"},
	},
	"bad flag, synchronising": {
		[]string{"a APPEND x (\\Foo) {5}\r\n", "b NOOP\r\n"},
		[]string{"a BAD Error in APPEND: Invalid system flag", "b NOOP", "left"},
	},
	"bad date": {
		[]string{"a APPEND x \"5-Feb-2024 01:02:03 +0130\" " + nonSync(attack) + "\r\nb NOOP\r\n"},
		[]string{"a BAD Error in APPEND: Invalid date-time", "b NOOP", "left"},
	},
	"CATENATE is not known": {
		[]string{"a APPEND x CATENATE (TEXT " + nonSync(attack) + " TEXT " + nonSync(attack) + ")\r\nb NOOP\r\n"},
		[]string{"a BAD Error in APPEND: Unexpected argument", "b NOOP", "left"},
	},
	"glued to the mailbox": {
		[]string{"a APPEND x" + nonSync(attack) + "\r\nb NOOP\r\n"},
		[]string{"a BAD Literal where none can be", "b NOOP", "left"},
	},
	"glued to the message": {
		[]string{"a APPEND x " + nonSync(attack) + nonSync(attack) + "\r\nb NOOP\r\n"},
		[]string{`a APPEND Append{Mailbox:"x"}`, attackMessage, "a BAD Literal where none can be", "b NOOP", "left"},
	},
	"text after the message": {
		[]string{"a APPEND x " + nonSync(attack) + " junk\r\nb NOOP\r\n"},
		[]string{`a APPEND Append{Mailbox:"x"}`, attackMessage, "a BAD Unexpected text after a message", "b NOOP", "left"},
	},
	"size smaller than the message": {
		[]string{"a APPEND x {5+}\r\nhello world\r\nb NOOP\r\n"},
		[]string{`a APPEND Append{Mailbox:"x"}`, `AppendMessage{Size:5} "hello"`, "a BAD Unexpected text after a message", "b NOOP", "left"},
	},
	"cut off in a message": {
		[]string{"a APPEND x {50+}\r\nhello"},
		[]string{`a APPEND Append{Mailbox:"x"}`, `AppendMessage{Size:50} "hello"`, "cut off"},
	},
	"cut off after a message": {
		[]string{"a APPEND x {5+}\r\nhello"},
		[]string{`a APPEND Append{Mailbox:"x"}`, `AppendMessage{Size:5} "hello"`, "cut off"},
	},
	"line too long": {
		[]string{"a APPEND x (" + strings.Repeat("flag ", 60) + ") " + nonSync(attack) + "\r\nb NOOP\r\n"},
		[]string{"a NO [TOOBIG] Command line too long", "b NOOP", "left"},
	},
}

func quote(s string) string {
	return strings.Join([]string{`"`, strings.NewReplacer("\r", `\r`, "\n", `\n`).Replace(s), `"`}, "")
}

// A session may refuse at any point. What follows is the next command.
func TestAppendRefused(t *testing.T) {
	pipelined := "a APPEND x " + nonSync(attack) + " (\\Seen) " + nonSync(attack) + "\r\nb NOOP\r\n"
	for name, test := range map[string]struct {
		client []string
		refuse func(a *wire.Append) error
	}{
		"before the first":         {[]string{pipelined}, func(a *wire.Append) error { return a.Discard() }},
		"by forgetting it":         {[]string{pipelined}, func(a *wire.Append) error { return nil }},
		"the first":                {[]string{pipelined}, func(a *wire.Append) error { _, _ = a.Next(); return a.Discard() }},
		"synchronising, before it": {[]string{"a APPEND x {5}\r\n", "b NOOP\r\n"}, func(a *wire.Append) error { return a.Discard() }},
		"synchronising, the first": {[]string{"a APPEND x {5}\r\n", "b NOOP\r\n"}, func(a *wire.Append) error {
			_, _ = a.Next()
			return a.Discard()
		}},
		"in the middle of a message": {[]string{pipelined}, func(a *wire.Append) error {
			m, _ := a.Next()
			body, _ := m.Accept()
			_, _ = body.Read(make([]byte, 7))
			return a.Discard()
		}},
		"the second": {[]string{pipelined}, func(a *wire.Append) error {
			m, _ := a.Next()
			_, _ = m.Accept()
			_, _ = a.Next()
			return a.Discard()
		}},
		"after the end": {[]string{pipelined}, func(a *wire.Append) error {
			for {
				m, err := a.Next()
				if err != nil {
					return a.Discard()
				}
				_, _ = m.Accept()
			}
		}},
		"the second is synchronising": {[]string{"a APPEND x " + nonSync(attack) + " {5}\r\n", "b NOOP\r\n"}, func(a *wire.Append) error {
			m, _ := a.Next()
			_, _ = m.Accept()
			_, _ = a.Next()
			return a.Discard()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			src := chunks(test.client)
			r := wire.NewReader(&src, wire.DefaultLimits(), func() error { t.Error("a continuation was sent"); return nil })
			command, err := r.Command()
			if err != nil {
				t.Fatal(err)
			}
			if err := test.refuse(command.Args.(*wire.Append)); err != nil {
				t.Errorf("refusing: got %v, want no error", err)
			}
			next, err := r.Command()
			if line, _ := showResult(next, err); line != "b NOOP" {
				t.Errorf("next command: got %s, want b NOOP", line)
			}
		})
	}
}

// A message that is neither accepted nor refused is the session's mistake; it must not end like a complete command.
func TestAppendWithoutAccept(t *testing.T) {
	src := chunks{"a APPEND x " + nonSync(attack) + "\r\nb NOOP\r\n"}
	r := wire.NewReader(&src, wire.DefaultLimits(), func() error { return nil })
	command, err := r.Command()
	if err != nil {
		t.Fatal(err)
	}
	a := command.Args.(*wire.Append)
	if _, err := a.Next(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := a.Next(); err == nil || err == io.EOF || !fault.Is(err, fault.Internal) {
			t.Errorf("got %v, want an internal error", err)
		}
	}
	next, err := r.Command()
	if line, _ := showResult(next, err); line != "b NOOP" {
		t.Errorf("next command: got %s, want b NOOP", line)
	}
}
