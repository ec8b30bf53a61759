package wire_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/imap/wire"
)

func written(t *testing.T, write func(w *wire.Writer)) string {
	t.Helper()
	var b bytes.Buffer
	w := wire.NewWriter(&b)
	write(w)
	if b.Len() > 0 {
		t.Errorf("%q was sent before Flush", b.String())
	}
	if err := w.Flush(); err != nil {
		t.Errorf("flush: %v", err)
	}
	return b.String()
}

func TestWriter(t *testing.T) {
	for _, test := range []struct {
		write func(w *wire.Writer)
		want  string
	}{
		{func(w *wire.Writer) { w.Untagged("CAPABILITY IMAP4rev1") }, "* CAPABILITY IMAP4rev1\r\n"},
		{func(w *wire.Writer) { w.UntaggedNumber(3, "EXISTS") }, "* 3 EXISTS\r\n"},
		{func(w *wire.Writer) { w.UntaggedStatus(wire.OK, wire.CodeNumber("UIDVALIDITY", 7), "Stays") }, "* OK [UIDVALIDITY 7] Stays\r\n"},
		{func(w *wire.Writer) { w.Tagged("a", wire.NO, "", "[ALERT] no\r\nb OK ü") }, "a NO (ALERT] no  b OK ?\r\n"},
		{func(w *wire.Writer) { w.Tagged("", wire.BAD, "", "") }, "* BAD Done\r\n"},
		{func(w *wire.Writer) { w.Continue("") }, "+ \r\n"},
		{func(w *wire.Writer) { w.Bye("UNAVAILABLE", "Moved") }, "* BYE [UNAVAILABLE] Moved\r\n"},
		{func(w *wire.Writer) { w.Raw(wire.CodeFlags("PERMANENTFLAGS", []string{`\Seen`, `\*`})) }, `PERMANENTFLAGS (\Seen \*)`},
		{func(w *wire.Writer) { w.Raw(wire.CodeAppendUID(7, wire.NumSetOf(3, 4))) }, `APPENDUID 7 3:4`},
		{func(w *wire.Writer) { w.Raw(wire.CodeCopyUID(7, wire.NumSetOf(3, 4), wire.NumSetOf(9, 10))) }, `COPYUID 7 3:4 9:10`},
		{func(w *wire.Writer) { w.Raw(wire.CodeSet("MODIFIED", wire.NumSetOf(3))) }, `MODIFIED 3`},
		{func(w *wire.Writer) { w.Atom("abc"); w.Atom("NIL"); w.Atom(""); w.Atom("a b"); w.Atom("a]") }, `abc"NIL""""a b""a]"`},
		{func(w *wire.Writer) { w.String("abc"); w.String(`a"\b`) }, `"abc""a\"\\b"`},
		{func(w *wire.Writer) { w.String("a\r\nb"); w.String("ü"); w.String("\x00") }, "{4}\r\na\r\nb{2}\r\nü{1}\r\n\x00"},
		{func(w *wire.Writer) { w.String(strings.Repeat("x", 1025)) }, "{1025}\r\n" + strings.Repeat("x", 1025)},
		{func(w *wire.Writer) { w.Mailbox("a b"); w.Mailbox("ä"); w.Mailbox("a&") }, `"a b"&AOQ-a&-`},
		{func(w *wire.Writer) { w.InternalDate(time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC).Unix(), 0) }, `" 3-Feb-2024 04:05:06 +0000"`},
		{func(w *wire.Writer) { w.Flags(nil); w.Flags([]string{`\Seen`, "a"}) }, `()(\Seen a)`},
		{func(w *wire.Writer) { w.NumSet(wire.NumSetOf(1, 2, 5)) }, `1:2,5`},
		{func(w *wire.Writer) { w.Bytes([]byte("abc")); w.CRLF() }, "{3}\r\nabc\r\n"},
		{func(w *wire.Writer) { _ = w.Literal(3, strings.NewReader("abc")); w.CRLF() }, "{3}\r\nabc\r\n"},
		{func(w *wire.Writer) { _ = w.Literal(0, strings.NewReader("")); w.CRLF() }, "{0}\r\n\r\n"},
		{func(w *wire.Writer) { _ = w.Literal8(2, iotest.DataErrReader(strings.NewReader("\x00b"))) }, "~{2}\r\n\x00b"},
		{func(w *wire.Writer) { _ = w.Literal(9, iotest.OneByteReader(strings.NewReader("hel\nworld"))) }, "{9}\r\nhel\nworld"},
	} {
		if got := written(t, test.write); got != test.want {
			t.Errorf("got\n%q, want\n%q", got, test.want)
		}
	}
}

// A literal that is not what it was announced to be ends the connection: nothing follows it, not even what was buffered.
func TestLiteralThatLies(t *testing.T) {
	unreadable := fault.New(fault.VolumeUnavailable, "no such blob")
	for name, test := range map[string]struct {
		r    io.Reader
		kind fault.Kind
	}{
		"short":       {strings.NewReader("abcd"), fault.Internal},
		"long":        {strings.NewReader("abcdef"), fault.Internal},
		"fails":       {io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(unreadable)), fault.VolumeUnavailable},
		"fails early": {iotest.ErrReader(unreadable), fault.VolumeUnavailable},
		"no progress": {stuck{}, fault.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			w := wire.NewWriter(&b)
			if err := w.Literal(5, test.r); fault.KindOf(err) != test.kind {
				t.Errorf("got %v, want kind %v", err, test.kind)
			}
			w.Raw(")\r\n")
			w.Bye("", "x")
			if err := w.Flush(); err == nil || w.Err() == nil {
				t.Error("flush: got no error")
			}
			if b.Len() > 0 {
				t.Errorf("%q was sent", b.String())
			}
		})
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestLargeOutput(t *testing.T) {
	message := bytes.Repeat([]byte("0123456789\r\n"), 30_000)
	var b bytes.Buffer
	w := wire.NewWriter(&b)
	w.Raw("* 1 FETCH (BODY[] ")
	if err := w.Literal(int64(len(message)), bytes.NewReader(message)); err != nil {
		t.Fatal(err)
	}
	w.Raw(" RFC822 ")
	w.Bytes(message)
	w.Raw(")\r\n")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	want := "* 1 FETCH (BODY[] {360000}\r\n" + string(message) + " RFC822 {360000}\r\n" + string(message) + ")\r\n"
	if b.String() != want {
		t.Errorf("got %d bytes, want %d", b.Len(), len(want))
	}
}

func TestBrokenConnection(t *testing.T) {
	broken := errors.New("broken pipe")
	w := wire.NewWriter(failing{broken})
	w.Untagged("1 EXISTS")
	for range 2 {
		if err := w.Flush(); !errors.Is(err, broken) || fault.KindOf(err) != fault.Interrupted {
			t.Errorf("got %v, want %v", err, broken)
		}
	}
	if err := w.Literal(1, strings.NewReader("x")); !errors.Is(err, broken) {
		t.Errorf("literal: got %v, want %v", err, broken)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestWriteInternalDate compares dates written into the buffer with those that are formatted one by one.
func TestWriteInternalDate(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		seconds, zone := rng.Int64N(4e9)-1e9, int16(rng.IntN(2000)-1000)
		switch i % 5 {
		case 0:
			seconds = rng.Int64N(1e12) - 5e11
		case 1:
			zone = int16(rng.Uint32())
		}
		var got strings.Builder
		w := wire.NewWriter(&got)
		w.InternalDate(seconds, zone)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		date := time.Unix(seconds, 0).In(time.FixedZone("", int(zone)*60))
		if want := `"` + wire.FormatInternalDate(date) + `"`; got.String() != want {
			t.Fatalf("%d in zone %d: got %s, want %s", seconds, zone, got.String(), want)
		}
		if got, want := wire.DateOf(date).Number(), floorDiv(seconds+60*int64(zone), 86400); got != want {
			t.Fatalf("%s is day %d, want %d", date, got, want)
		}
	}
}

func floorDiv(a, b int64) int64 {
	if a < 0 {
		return -((b - 1 - a) / b)
	}
	return a / b
}
