package imap_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"mailreplica/internal/imap"
)

// allocated is how much a server allocates for a client that says this, and what it says last before LOGOUT.
func allocated(t *testing.T, s *imap.Server, says string) (bytesAllocated uint64, said []byte) {
	t.Helper()
	says += "\r\ny NOOP\r\nz LOGOUT\r\n"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	said = serve(t, s, says)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc - uint64(len(says)), said // the client's own copy
}

// TestMemoryOfCommands gives commands that are made to cost much. What a session allocates for one is bounded, whatever its arguments.
func TestMemoryOfCommands(t *testing.T) {
	repeat := strings.Repeat
	const line = 60 << 10
	keys := func(key string) string { return repeat(key, line/len(key)) }
	header := "Subject: x\r\n" + repeat("a: bcd\n", 3<<17) + "\r\nbody" // 2.6 MiB of fields
	b, _ := backendWithTest()
	s := imap.New(imap.Config{Backend: b, AllowPlaintext: true, AppendBytesMax: 8 << 20})
	login := "a LOGIN test pass\r\nb APPEND INBOX {" + fmt.Sprint(len(header)) + "+}\r\n" + header + "\r\nc SELECT INBOX\r\nd "
	b.AddAccount("test", "pass")
	rest, _ := allocated(t, s, login+"NOOP")
	for name, test := range map[string]struct {
		command, want string
		bytesMax      uint64
	}{
		"header keys":           {"SEARCH " + keys("NOT HEADER x y ") + "ALL", "d OK", 16 << 20},
		"header keys that find": {"SEARCH " + keys("NOT HEADER a y ") + "ALL", "d OK", 32 << 20},
		"texts":                 {"SEARCH " + repeat("NOT TEXT y ", 100) + "ALL", "d OK", 16 << 20},
		"a text too many":       {"SEARCH " + repeat("NOT TEXT y ", 101) + "ALL", "d BAD", 1 << 20},
		"1,000 deep":            {"SEARCH " + repeat("(", 999) + "ALL" + repeat(")", 999), "d OK", 1 << 20},
		"1,001 deep":            {"SEARCH " + repeat("(", 1000) + "ALL" + repeat(")", 1000), "d BAD", 1 << 20},
		"NOTs":                  {"SEARCH " + keys("NOT ") + "ALL", "d BAD", 1 << 20},
		"ORs":                   {"SEARCH " + keys("OR ALL ") + "ALL", "d BAD", 1 << 20},
		"a set":                 {"SEARCH " + keys("1,3,")[:line] + "1", "d OK", 8 << 20},
		"100 headers":           {"FETCH 1 (" + repeat("BODY.PEEK[HEADER.FIELDS (b)] ", 100) + ")", "d OK", 4 << 20},
		"100 whole headers":     {"FETCH 1 (" + repeat("BODY.PEEK[HEADER.FIELDS (a)]<0.9> ", 100) + ")", "d OK", 4 << 20},
		"101 headers":           {"FETCH 1 (" + repeat("BODY.PEEK[HEADER.FIELDS (b)] ", 101) + ")", "d BAD", 1 << 20},
		"100 sizes":             {"FETCH 1 (" + repeat("BINARY.SIZE[1] ", 100) + ")", "d OK", 8 << 20},
		"101 sizes":             {"FETCH 1 (" + repeat("BINARY.SIZE[1] ", 101) + ")", "d BAD", 1 << 20},
		"513 items":             {"FETCH 1 (" + repeat("FLAGS ", 513) + ")", "d BAD", 1 << 20},
		"512 flags":             {"FETCH 1 (" + repeat("FLAGS ", 512) + ")", "d OK", 1 << 20},
		"a deep section":        {"FETCH 1 BODY[" + keys("1.")[:line] + "1]", "d OK", 8 << 20},
		"many fields":           {"FETCH 1 BODY[HEADER.FIELDS (" + keys("a ") + ")]", "d OK", 32 << 20},
		"256 flags":             {"STORE 1 FLAGS (" + numbered("k", 256) + ")", "d NO", 4 << 20},
		"257 flags":             {"STORE 1 FLAGS (" + numbered("k", 257) + ")", "d BAD", 4 << 20},
		"64 patterns":           {"LIST \"\" (" + repeat("* ", 64) + ")", "d OK", 4 << 20},
		"65 patterns":           {"LIST \"\" (" + repeat("* ", 65) + ")", "d BAD", 1 << 20},
		"a pattern of 4,096":    {"LIST \"\" " + repeat("*", 4096), "d OK", 4 << 20},
		"a pattern of 4,097":    {"LIST \"\" " + repeat("*", 4097), "d BAD", 1 << 20},
		"30 fields of ID":       {"ID (" + repeat("\"a\" \"b\" ", 30) + ")", "d OK", 1 << 20},
		"31 fields of ID":       {"ID (" + repeat("\"a\" \"b\" ", 31) + ")", "d BAD", 1 << 20},
		"capabilities":          {"ENABLE " + keys("A "), "d OK", 4 << 20},
		"1,000 messages":        {"APPEND Drafts" + repeat(" {1+}\r\na", 1000), "d OK", 32 << 20},
		"1,001 messages":        {"APPEND Drafts" + repeat(" {1+}\r\na", 1001), "d NO [TOOBIG]", 32 << 20},
		"literals":              {"SEARCH" + repeat(" SUBJECT {1+}\r\na", 4000), "d ", 16 << 20},
		"64 KiB of literals":    {"CREATE {65536+}\r\n" + repeat("a", 65536), "d NO", 4 << 20},
		"a byte more":           {"CREATE {65537+}\r\n" + repeat("a", 65537), "d NO [TOOBIG]", 4 << 20},
		"64 KiB of text":        {"CREATE " + repeat("a", 64<<10-len("d CREATE \r\n")), "d NO", 4 << 20},
		"a byte more of text":   {"CREATE " + repeat("a", 64<<10-len("d CREATE \r\n")+1), "d NO [TOOBIG]", 4 << 20},
		"8 MiB of one line":     {"CREATE " + repeat("a", 8<<20-1000), "d NO [TOOBIG]", 1 << 20},
		"9 MiB of one line":     {"CREATE " + repeat("a", 9<<20), "* BYE", 1 << 20},
		"a literal of 7 GiB":    {"CREATE {7516192768+}\r\n", "", 1 << 20}, // it never comes
		"a literal of 9 GiB":    {"CREATE {9663676416+}\r\n", "* BYE", 1 << 20},
		"8 MiB of message":      {"APPEND Drafts {8388608+}\r\n" + repeat("a", 8<<20), "d OK", 32 << 20},
		"a byte more of it":     {"APPEND Drafts {8388609+}\r\n" + repeat("a", 8<<20+1), "d NO [TOOBIG]", 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			b.AddAccount("test", "pass")
			got, said := allocated(t, s, login+test.command)
			if !bytes.Contains(said, []byte("\r\n"+test.want)) {
				t.Errorf("got %.300q, want %q", said[max(0, len(said)-300):], test.want)
			}
			if got = max(got, rest) - rest; got > test.bytesMax {
				t.Errorf("%d KiB were allocated, want at most %d", got>>10, test.bytesMax>>10)
			}
		})
	}
}

func numbered(prefix string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s%d ", prefix, i)
	}
	return b.String()
}

// TestHeaderAtItsLimit: fields that end within the first MiB of a header are found, others are not; the header itself is told whole.
func TestHeaderAtItsLimit(t *testing.T) {
	const limit = 1 << 20
	last, beyond := "X-Last: y\r\n", "X-Beyond: z\r\n\r\n"
	message := "A: " + strings.Repeat("x", limit-len("A: \r\n")-len(last)) + "\r\n" + last + beyond
	b, _ := backendWithTest()
	s := imap.New(imap.Config{Backend: b, AllowPlaintext: true})
	_, said := allocated(t, s, fmt.Sprintf("a LOGIN test pass\r\nb APPEND INBOX {%d+}\r\n%s\r\nc SELECT INBOX\r\n", len(message), message)+
		"d FETCH 1 BODY.PEEK[HEADER.FIELDS (X-Last X-Beyond)]\r\ne SEARCH HEADER X-Last y\r\nf SEARCH HEADER X-Beyond z\r\ng FETCH 1 BODY.PEEK[HEADER]<"+
		fmt.Sprint(limit)+".100>\r\n")
	for _, want := range []string{"{11}\r\n" + last + ")\r\nd OK", "* SEARCH 1\r\ne OK", "* SEARCH\r\nf OK", "{15}\r\n" + beyond + ")\r\ng OK"} {
		if !bytes.Contains(said, []byte(want)) {
			t.Errorf("got %.1000q, want %q in it", said[max(0, len(said)-1000):], want)
		}
	}
}
