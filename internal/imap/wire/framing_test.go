package wire_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"mailreplica/internal/fault"
	"mailreplica/internal/imap/wire"
)

// attack is content that would be noticed if it ever ran: more than 50 bytes, with commands at the start of every line.
const attack = "x1 DELETE INBOX\r\nx2 LOGOUT\r\nx3 NOOP\nx4 LOGIN {3+}\r\nabc d\r\n"

func nonSync(s string) string  { return fmt.Sprintf("{%d+}\r\n%s", len(s), s) }
func announce(s string) string { return fmt.Sprintf("{%d}\r\n", len(s)) }

func TestLiterals(t *testing.T) {
	for name, test := range map[string]exchange{
		"synchronising": {
			[]string{"a LOGIN {2}\r\n", "me {3}\r\n", "you\r\n", "b NOOP\r\n"},
			[]string{"+", "+", `a LOGIN Login{User:"me" Password:"you"}`, "b NOOP", "left"},
		},
		"non-synchronising in one piece": {
			[]string{"a LOGIN {2+}\r\nme {3+}\r\nyou\r\nb NOOP\r\n"},
			[]string{`a LOGIN Login{User:"me" Password:"you"}`, "b NOOP", "left"},
		},
		"byte by byte": {
			strings.Split("a LOGIN {2+}\nme {3+}\r\ny\nu\r\nb NOOP\n", ""),
			[]string{`a LOGIN Login{User:"me" Password:"y\nu"}`, "b NOOP", "left"},
		},
		"empty, and leading zeros": {
			[]string{"a LOGIN {0+}\r\n {03+}\r\nyou\r\n"},
			[]string{`a LOGIN Login{Password:"you"}`, "left"},
		},
		"literal8": {
			[]string{"a LOGIN ~{2+}\r\nme ~{3}\r\n", "you\r\n"},
			[]string{"+", `a LOGIN Login{User:"me" Password:"you"}`, "left"},
		},
		"where none belongs": {
			[]string{"a NOOP " + nonSync(attack[:49]) + "\r\nb FETCH " + nonSync(attack[:49]) + " FLAGS\r\nc NOOP\r\n"},
			[]string{"a BAD Error in NOOP: Unexpected argument", "b BAD Error in FETCH: Expected a number", "c NOOP", "left"},
		},
		"glued to other text": {
			[]string{"a LOGIN me" + nonSync(attack) + " x\r\nb LOGIN \"me " + nonSync(attack) + "\" x\r\n" + nonSync(attack) + "\r\nc NOOP\r\n"},
			[]string{"a BAD Literal where none can be", "b BAD Literal where none can be", " BAD Literal where none can be", "c NOOP", "left"},
		},
		"glued, synchronising": {
			[]string{"a LOGIN me{3}\r\n", "b LOGIN \"me {3}\r\n", "c NOOP\r\n"},
			[]string{"a BAD Literal where none can be", "b BAD Literal where none can be", "c NOOP", "left"},
		},
		"text glued to it": {
			[]string{"a LOGIN {2+}\r\nmex you\r\nb NOOP\r\n"},
			[]string{"a BAD Error in LOGIN: Missing argument", "b NOOP", "left"},
		},
		"no header": {
			[]string{"a LOGIN {-5} x\r\nb LOGIN a {-5}\r\nc LOGIN a {5} \r\nd LOGIN a {5x}\r\ne NOOP\r\n"},
			[]string{"a BAD Error in LOGIN: Expected a string", "b BAD Error in LOGIN: Expected a string",
				"c BAD Error in LOGIN: Expected a string", "d BAD Error in LOGIN: Expected a string", "e NOOP", "left"},
		},
		"NUL": {
			[]string{"a LOGIN " + nonSync("m\x00e") + " " + nonSync(attack[:20]) + "\r\nb\x00 NOOP\r\nc NOOP\r\n"},
			[]string{"a BAD NUL in a literal", " BAD NUL in a command", "c NOOP", "left"},
		},
	} {
		t.Run(name, func(t *testing.T) { check(t, transcript(wire.DefaultLimits(), test.client...), test.want) })
	}
}

// What is refused never becomes a command, whatever it holds.
func TestRefusedLiterals(t *testing.T) {
	for name, test := range refusedLiterals {
		t.Run(name, func(t *testing.T) { check(t, transcript(smallLimits, test.client...), test.want) })
	}
}

var long = strings.Repeat("y", 300)

var refusedLiterals = map[string]exchange{
	"too big, non-synchronising": {
		[]string{"a LOGIN " + nonSync(attack) + " b\r\nb NOOP\r\n"},
		[]string{"a NO [TOOBIG] Literal too big", "b NOOP", "left"},
	},
	"too big together": {
		[]string{"a LOGIN " + nonSync(attack[:30]) + " " + nonSync(attack[:30]) + "\r\nb NOOP\r\n"},
		[]string{"a NO [TOOBIG] Literal too big", "b NOOP", "left"},
	},
	"too big, more follow": {
		[]string{"a LOGIN " + nonSync(attack) + " " + nonSync(attack) + nonSync(attack) + "\r\nb NOOP\r\n"},
		[]string{"a NO [TOOBIG] Literal too big", "b NOOP", "left"},
	},
	"too big, synchronising": {
		[]string{"a LOGIN {51}\r\n", "b NOOP\r\n"},
		[]string{"a NO [TOOBIG] Literal too big", "b NOOP", "left"},
	},
	"synchronising after one that was too big": {
		[]string{"a LOGIN " + nonSync(attack) + " {5}\r\n", "b NOOP\r\n"},
		[]string{"a NO [TOOBIG] Literal too big", "b NOOP", "left"},
	},
	"overflow, synchronising": {
		[]string{"a LOGIN {18446744073709551617}\r\n", "b NOOP\r\n"},
		[]string{"a NO [TOOBIG] Literal too big", "b NOOP", "left"},
	},
	"overflow, non-synchronising": {
		[]string{"a LOGIN {18446744073709551617+}\r\n" + attack},
		[]string{"BYE Unreadable length of a literal"},
	},
	"length that cannot be read": {
		[]string{"a LOGIN {-5+}\r\n" + attack},
		[]string{"BYE Unreadable length of a literal"},
	},
	"beyond all reason": {
		[]string{"a LOGIN {9223372036854775807+}\r\n" + attack},
		[]string{"BYE Literal too big"},
	},
	"sent without waiting": {
		[]string{"a LOGIN " + announce(attack) + attack},
		[]string{"BYE Literal sent without waiting for the continuation"},
	},
	"cut off": {
		[]string{"a LOGIN " + nonSync(attack)[:30]},
		[]string{"cut off"},
	},
	"cut off in a line": {[]string{"a NOOP"}, []string{"cut off"}},
	"cut off in an accepted literal": {
		[]string{"a LOGIN {10}\r\n", "x"},
		[]string{"+", "cut off"},
	},
	"line too long": {
		[]string{"a NOOP " + long + "\r\nb NOOP\r\n"},
		[]string{"a NO [TOOBIG] Command line too long", "b NOOP", "left"},
	},
	"line too long, literals follow": {
		[]string{"a LOGIN " + long + " " + nonSync(attack) + long + nonSync(attack) + "\r\nb NOOP\r\n"},
		[]string{"a NO [TOOBIG] Command line too long", "b NOOP", "left"},
	},
	"lines too long together": {
		[]string{"a LOGIN " + nonSync("x") + " " + long[:190] + "\r\nb NOOP\r\n"},
		[]string{"a NO [TOOBIG] Command line too long", "b NOOP", "left"},
	},
	"line too long, synchronising literal follows": {
		[]string{"a LOGIN " + long + " {5}\r\n", "b NOOP\r\n"},
		[]string{"a NO [TOOBIG] Command line too long", "b NOOP", "left"},
	},
	"line too long, unreadable length": {
		[]string{"a LOGIN " + long + " {" + strings.Repeat("0", 70) + "9+}\r\n" + attack},
		[]string{"BYE Unreadable length of a literal"},
	},
	"line without end": {
		[]string{strings.Repeat("a NOOP ", 9<<20/7)},
		[]string{"BYE Line without end"},
	},
	"unknown command": {
		[]string{"a FROB " + nonSync(attack[:49]) + "\r\nb NOOP\r\n"},
		[]string{"a BAD Unknown command", "b NOOP", "left"},
	},
}

func TestDeadReaderStaysDead(t *testing.T) {
	src := chunks{"a LOGIN {3+}\r\nx"}
	r := wire.NewReader(&src, wire.DefaultLimits(), func() error { return nil })
	for range 2 {
		_, err := r.Command()
		if !errors.Is(err, io.ErrUnexpectedEOF) || fault.KindOf(err) != fault.Interrupted {
			t.Errorf("got %v of kind %v, want a cut-off connection", err, fault.KindOf(err))
		}
	}
	if _, err := r.ReadLine(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("ReadLine: got %v, want the same error", err)
	}
}

func TestErrorKinds(t *testing.T) {
	src := chunks{"a FOO\r\na LOGIN {99}\r\n", "a {1+}\r\n"}
	r := wire.NewReader(&src, smallLimits, func() error { return nil })
	for _, want := range []fault.Kind{fault.Invalid, fault.TooLarge, fault.Interrupted} {
		if _, err := r.Command(); fault.KindOf(err) != want {
			t.Errorf("got %v of kind %v, want %v", err, fault.KindOf(err), want)
		}
	}
}

func TestContinuationThatCannotBeSent(t *testing.T) {
	src := chunks{"a LOGIN {3}\r\n", "abc x\r\n"}
	broken := errors.New("broken pipe")
	r := wire.NewReader(&src, wire.DefaultLimits(), func() error { return broken })
	if _, err := r.Command(); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

func TestReadDone(t *testing.T) {
	src := chunks{"a IDLE\r\ndone \r\nb IDLE\r\n", "c LOGIN {16+}\r\nx DELETE INBOX\r\n y\r\nd NOOP\r\n", "DON"}
	r := wire.NewReader(&src, wire.DefaultLimits(), func() error { return nil })
	var got []string
	for range 2 {
		command, err := r.Command()
		line, _ := showResult(command, err)
		got = append(got, line)
		line, _ = showResult(&wire.Command{Tag: "done"}, r.ReadDone())
		got = append(got, line)
	}
	command, err := r.Command()
	line, _ := showResult(command, err)
	got = append(got, line)
	line, _ = showResult(nil, r.ReadDone())
	check(t, append(got, line), []string{"a IDLE", "done", "b IDLE", " BAD Expected DONE", "d NOOP", "cut off"})
}

func TestReadLine(t *testing.T) {
	src := chunks{"a AUTHENTICATE PLAIN\r\n", "AGEAYg==\r\n", strings.Repeat("A", 300) + "\r\n*\r\n"}
	r := wire.NewReader(&src, smallLimits, func() error { return nil })
	if _, err := r.Command(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"AGEAYg==", "too long", "*"} {
		line, err := r.ReadLine()
		if want == "too long" {
			if !fault.Is(err, fault.TooLarge) {
				t.Errorf("got %q, %v, want too long", line, err)
			}
		} else if err != nil || line != want {
			t.Errorf("got %q, %v, want %q", line, err, want)
		}
	}
}

func TestBufferedAndRaw(t *testing.T) {
	src := chunks{"a STARTTLS\r\nb NOOP\r\nrest", " of it"}
	r := wire.NewReader(&src, wire.DefaultLimits(), func() error { return nil })
	if _, err := r.Command(); err != nil || r.Buffered() != len("b NOOP\r\nrest") {
		t.Errorf("got %v, %d bytes buffered", err, r.Buffered())
	}
	if _, err := r.Command(); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(r.Raw()); err != nil || string(rest) != "rest of it" {
		t.Errorf("got %q, %v, want the rest", rest, err)
	}
}

func TestSetLimits(t *testing.T) {
	src := chunks{"a LOGIN {51+}\r\n" + attack[:51] + " x\r\nb LOGIN {51+}\r\n" + attack[:51] + " x\r\n"}
	r := wire.NewReader(&src, smallLimits, func() error { return nil })
	if _, err := r.Command(); !fault.Is(err, fault.TooLarge) {
		t.Errorf("got %v, want too big", err)
	}
	r.SetLimits(wire.DefaultLimits())
	if _, err := r.Command(); err != nil {
		t.Errorf("got %v, want no error under wider limits", err)
	}
}
