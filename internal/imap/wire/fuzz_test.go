package wire_test

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"mailreplica/internal/imap/wire"
)

// FuzzCommand reads a whole stream of commands. It ends, nothing panics, no command is without a tag, and no argument is
// larger than the limits allow.
func FuzzCommand(f *testing.F) {
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := wire.NewReader(bytes.NewReader(stream), smallLimits, func() error { return nil })
		for range len(stream) + 1 {
			command, err := r.Command()
			if _, goOn := showResult(command, err); !goOn {
				return
			}
			if err != nil {
				continue
			}
			if command.Tag == "" || command.Name == "" {
				t.Errorf("a command without tag or name: %+v", command)
			}
			if a, ok := command.Args.(*wire.Append); ok {
				size := 0
				if !appendTranscript(a, func(line string) { size = max(size, len(line)) }) {
					return
				}
				if size > 4*100+1000 {
					t.Errorf("a message of %d bytes", size)
				}
			}
			// A character of the command makes a key at most; nothing is copied twice.
			if n := len(show(command.Args)); n > 250*100 {
				t.Errorf("arguments of %d bytes", n)
			}
		}
		t.Error("more commands than bytes")
	})
}

// FuzzLiteralContent sends content in literals that are taken, refused, misplaced or too big. The next command after each
// is the one that the client sent next.
func FuzzLiteralContent(f *testing.F) {
	prefixes := []string{
		"a LOGIN ", "a LOGIN x", `a LOGIN "`, "a NOOP ", "a FROB ", "", "a FETCH 1 BODY[HEADER.FIELDS (", "a SEARCH CHARSET UTF-8 TEXT ",
		"a APPEND x ", "a APPEND ", "a APPEND x (\\Recent) ", "a APPEND x () \"", "a LIST \"\" (", "a LOGIN " + strings.Repeat("x", 300) + " ",
		"a APPEND " + strings.Repeat("x", 300) + " ", "a APPEND y {1+}\r\nm ", "a LOGIN " + "{51+}\r\n" + strings.Repeat("x", 51) + " ",
	}
	f.Fuzz(func(t *testing.T, which uint8, content []byte, suffix bool) {
		prefix := prefixes[int(which)%len(prefixes)]
		stream := prefix + nonSync(string(content))
		if suffix {
			stream += " " + nonSync(string(content))
		}
		got := transcript(smallLimits, stream+"\r\nz NOOP\r\n")
		if n := len(got); n < 3 || got[n-1] != "left" || got[n-2] != "z NOOP" {
			t.Fatalf("got %q, want the commands of the client", got)
		}
		for _, line := range got[1 : len(got)-2] {
			word, _, _ := strings.Cut(line, "{")
			if word != "complete" && word != "AppendMessage" && !strings.HasPrefix(line, "a BAD ") && !strings.HasPrefix(line, "a NO ") {
				t.Errorf("got %q, want one command before the last", got)
			}
		}
	})
}

// FuzzModifiedUTF7 wants every name to be reachable as it is listed, and every correct encoding to come back.
func FuzzModifiedUTF7(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		name := wire.DecodeMailbox(s)
		listed := wire.EncodeMailbox(name)
		for i := range len(listed) {
			if listed[i] < 0x20 || listed[i] >= 0x7f {
				t.Errorf("%q is listed as %q", name, listed)
			}
		}
		if strings.IndexByte(s, 0) < 0 {
			if again := wire.DecodeMailbox(listed); again != name {
				t.Errorf("%q means %q, is listed as %q, which means %q", s, name, listed, again)
			}
		}
		if len(s) < 1000 {
			wire.MatchMailbox(s, name, '/')
		}
	})
}

// FuzzNumSet compares sets with the numbers they hold.
func FuzzNumSet(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string, largest uint32) {
		set, err := wire.ParseNumSet(s)
		if err != nil {
			return
		}
		if again, err := wire.ParseNumSet(set.String()); err != nil || again.String() != set.String() {
			t.Errorf("%q: %s is read as %s, %v", s, set, again, err)
		}
		resolved := set.Resolve(largest)
		last := uint64(0)
		for i, r := range resolved {
			if r.Start == 0 || r.Stop < r.Start || i > 0 && uint64(r.Start) <= last+1 {
				t.Errorf("%q of %d: resolved to %s", s, largest, resolved)
			}
			last = uint64(r.Stop)
		}
		for _, n := range []uint32{1, 2, 10, largest, math.MaxUint32} {
			if n > 0 && resolved.Contains(n) != holds(set, n, largest) {
				t.Errorf("%q of %d: holding %d is %v", s, largest, n, resolved.Contains(n))
			}
		}
	})
}

func holds(set wire.NumSet, n, largest uint32) bool {
	for _, r := range set {
		if largest == 0 && (r.Start == 0 || r.Stop == 0) {
			continue
		}
		start, stop := r.Start, r.Stop
		if start == 0 {
			start = largest
		}
		if stop == 0 {
			stop = largest
		}
		if min(start, stop) <= n && n <= max(start, stop) {
			return true
		}
	}
	return false
}

func BenchmarkParseFetch(b *testing.B) {
	line := []byte("a12 UID FETCH 1:100,205,300:* " +
		"(UID FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (From To Cc Subject Date)]) (CHANGEDSINCE 5)\r\n")
	stream := bytes.NewReader(bytes.Repeat(line, b.N))
	r := wire.NewReader(stream, wire.DefaultLimits(), nil)
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	b.ResetTimer()
	for range b.N {
		if _, err := r.Command(); err != nil {
			b.Fatal(err)
		}
	}
}

type counter struct{ bytes int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.bytes += int64(len(b))
	return len(b), nil
}

func BenchmarkWrite100000FetchFlags(b *testing.B) {
	flags := []string{`\Seen`, `\Answered`, "$Forwarded"}
	b.ReportAllocs()
	for range b.N {
		sink := &counter{}
		w := wire.NewWriter(sink)
		for n := uint64(1); n <= 100_000; n++ {
			w.Raw("* ")
			w.Number(n)
			w.Raw(" FETCH (UID ")
			w.Number(n + 7)
			w.Raw(" FLAGS ")
			w.Flags(flags)
			w.Raw(")\r\n")
		}
		if err := w.Flush(); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(sink.bytes)
	}
}

func BenchmarkNumSetOf100000(b *testing.B) {
	nums := make([]uint32, 100_000)
	for i := range nums {
		nums[i] = uint32(i + 1 + i/3)
	}
	for range b.N {
		if s := wire.NumSetOf(nums...).String(); s == "" {
			b.Fatal("got an empty set")
		}
	}
}
