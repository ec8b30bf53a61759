package message_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"mailreplica/internal/message"
)

func countParts(p *message.Part) (parts, depth int) {
	children := p.Children
	if p.Message != nil {
		children = []message.Part{p.Message.Root}
	}
	parts = 1
	for i := range children {
		n, d := countParts(&children[i])
		parts += n
		depth = max(depth, d)
	}
	return parts, depth + 1
}

// TestHostile feeds what is over some limit: each message is taken, quickly, with a summary of bounded size.
func TestHostile(t *testing.T) {
	repeat := strings.Repeat
	multi := "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	var deep, ladder strings.Builder
	for i := range 10_000 {
		b := "b" + repeat("x", i%50) + string(rune('a'+i%26))
		deep.WriteString("Content-Type: multipart/mixed; boundary=" + b + "\r\n\r\n--" + b + "\r\n")
	}
	for i := range 99 {
		b := repeat("x", 200) + string(rune('0'+i/10)) + string(rune('0'+i%10))
		ladder.WriteString("Content-Type: multipart/mixed; boundary=" + b + "\r\n\r\n--" + b + "\r\n")
	}
	ladder.WriteString("\r\n" + repeat("--"+repeat("x", 201)+"\r\n", 20_000))
	for name, mail := range map[string]string{
		"deep multiparts":     deep.String(),
		"deep messages":       repeat("Content-Type: message/rfc822\r\n\r\n", 10_000),
		"deep digests":        repeat("Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n", 10_000),
		"many parts":          multi + repeat("--b\r\n\r\nx\r\n", 100_000) + "--b--\r\n",
		"many empty parts":    multi + repeat("--b\n", 100_000),
		"many boundaries":     ladder.String(),
		"many fields":         repeat("A: b\r\n", 200_000) + "\r\n",
		"many types":          repeat("Content-Type: text/plain\r\n", 100_000) + "\r\n",
		"many lists":          repeat("To: a@b\r\n", 200_000) + "\r\n",
		"many addresses":      "To: " + repeat("a@b,", 500_000) + "\r\n\r\n",
		"many lines":          "To: " + repeat("a@b,\r\n ", 200_000) + "\r\n\r\n",
		"many groups":         "To: " + repeat("g:a@b;", 200_000) + "\r\n\r\n",
		"long subject":        "Subject: " + repeat("x", 5<<20) + "\r\n\r\n",
		"long name":           repeat("x", 5<<20) + ": y\r\n\r\n",
		"long fold":           "Subject: " + repeat(" x\r\n", 1<<20) + "\r\n",
		"long boundary":       "Content-Type: multipart/mixed; boundary=" + repeat("b", 1<<20) + "\r\n\r\n--" + repeat("b", 1<<20),
		"long type":           "Content-Type: " + repeat("x", 1<<20) + "/" + repeat("y", 1<<20) + "\r\n\r\n",
		"many parameters":     "Content-Type: text/plain" + repeat("; a=b", 100_000) + "\r\n\r\n",
		"different parameter": "Content-Type: text/plain; " + func() (s string) { return uniqueParams(20_000) }() + "\r\n\r\n",
		"open comments":       "To: " + repeat("a(,", 100_000) + "\r\n\r\n",
		"open routes":         "To: " + repeat("<@a(,", 100_000) + "\r\n\r\n",
		"open quotes":         "To: " + repeat(`a" <`, 100_000) + "\r\n\r\n",
		"open angles":         "To: " + repeat("<", 100_000) + "\r\n\r\n",
		"routes":              "To: <" + repeat("@a,", 40_000) + "\r\n\r\n",
		"colons":              "To: " + repeat(":", 100_000) + "\r\n\r\n",
		"words":               "To: " + repeat("a ", 100_000) + "@b\r\n\r\n",
		"names before <":      "To: " + repeat("a@b ", 30_000) + "<c@d>\r\n\r\n",
		"ats":                 "To: " + repeat("a@b<", 30_000) + "\r\n\r\n",
		"texts of many parts": multi + repeat("--b\r\nContent-ID: "+repeat("x", 5000)+"\r\n\r\n", 4000),
		"languages":           "Content-Type: a/b\r\nContent-Language: " + repeat("a,", 100_000) + "\r\n\r\n",
		"NULs":                repeat("\x00", 1<<20),
		"dashes":              multi + repeat("--", 1<<20),
		"lone CRs":            repeat("\r", 1<<20),
		"line ends":           repeat("\n", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			summary := parse(t, mail)
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			if n := len(summary.Encode()); n > 1<<20 {
				t.Errorf("the summary has %d bytes", n)
			}
			parts, depth := countParts(&summary.Root)
			if parts > 8192 || depth > 100 {
				t.Errorf("got %d parts, %d deep", parts, depth)
			}
		})
	}
}

func uniqueParams(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("p")
		for ; i > 0; i /= 26 {
			b.WriteByte(byte('a' + i%26))
		}
		b.WriteString("=v;")
	}
	return b.String()
}

// TestManyPartsDegrade shows how: the parts beyond the limit are the body of the last one.
func TestManyPartsDegrade(t *testing.T) {
	mail := "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", 5000) + "--b--\r\n"
	root := parse(t, mail).Root
	if got, want := len(root.Children), 4095; got != want {
		t.Fatalf("got %d parts, want %d", got, want)
	}
	last := root.Children[len(root.Children)-1]
	if got, want := last.BodyStart+last.BodySize, int64(len(mail)); got != want {
		t.Errorf("the last part ends at %d, want %d", got, want)
	}
	if got := root.Children[0].BodySize; got != 1 {
		t.Errorf("the first part has %d bytes, want 1", got)
	}
}

// TestDeepDegrade shows how: what is too deep is opaque.
func TestDeepDegrade(t *testing.T) {
	p := &parse(t, strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 200)).Root
	depth := 1
	for ; p.Message != nil; depth++ {
		p = &p.Message.Root
	}
	if got, want := types(p), "application/octet-stream"; got != want || depth != 100 {
		t.Errorf("got %s at %d, want %s at 100", got, depth, want)
	}
}

// TestMemory checks that a large message needs no more memory than a small one.
func TestMemory(t *testing.T) {
	const size = 25 << 20
	head := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n"
	line := strings.Repeat("QUJD", 19) + "\r\n"
	for name, body := range map[string]io.Reader{
		"lines":    &repeater{line: line, left: size},
		"one line": &repeater{line: "QUJD", left: size},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			summary, err := message.Parse(io.MultiReader(strings.NewReader(head), body, strings.NewReader("\r\n--b--\r\n")))
			runtime.ReadMemStats(&after)
			if err != nil {
				t.Fatal(err)
			}
			if got := summary.Root.Children[0].BodySize; got < size-100 {
				t.Errorf("body: got %d bytes, want %d", got, size)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
				t.Errorf("%d bytes were allocated, want less than 1 MiB", got)
			}
		})
	}
}

// repeater gives a line again and again.
type repeater struct {
	line string
	at   int
	left int
}

func (r *repeater) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && r.left > 0 {
		c := copy(p[n:min(len(p), n+r.left)], r.line[r.at:])
		r.at = (r.at + c) % len(r.line)
		n += c
		r.left -= c
	}
	return n, nil
}

func TestReadError(t *testing.T) {
	want := errors.New("the volume is gone")
	_, err := message.Parse(io.MultiReader(strings.NewReader("A: b\r\n"), iotest.ErrReader(want)))
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// TestHowItIsRead checks that a message reads the same in any pieces.
func TestHowItIsRead(t *testing.T) {
	want := parse(t, nested).Encode()
	for name, r := range map[string]io.Reader{
		"bytes":         iotest.OneByteReader(strings.NewReader(nested)),
		"halves":        iotest.HalfReader(strings.NewReader(nested)),
		"data with EOF": iotest.DataErrReader(strings.NewReader(nested)),
	} {
		got, err := message.Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Encode(), want) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// TestBoundaryAfterLongLine puts line ends and boundaries around the edge of the read buffer.
func TestBoundaryAfterLongLine(t *testing.T) {
	const head = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n"
	for shift := -8; shift <= 8; shift++ {
		long := strings.Repeat("x", 64<<10+shift)
		root := parse(t, head+long+"\r\n--b--\r\n").Root
		if got := root.Children[0].BodySize; got != int64(len(long)) || len(root.Children) != 1 {
			t.Errorf("shift %d: got %d bytes, want %d", shift, got, len(long))
		}
		if got := parse(t, "Subject: "+long+"\r\n\r\n").Envelope.Subject; got != long {
			t.Errorf("shift %d: the subject has %d bytes, want %d", shift, len(got), len(long))
		}
	}
}

// TestRandomMessages parses messages made of telling pieces; checkSummary checks them.
func TestRandomMessages(t *testing.T) {
	pieces := []string{
		"\r\n", "\n", "\r", "\r\n\r\n", "--a", "--a--", "--ab", "--ab--", "--", "-", " ", "\t", "x", "\x00", "\xff",
		"Content-Type: multipart/mixed; boundary=a\r\n", "Content-Type: multipart/digest; boundary=ab\r\n\r\n",
		"Content-Type: message/rfc822\r\n", "Content-Type: message/rfc822\r\n\r\n", "Content-Type: text/html\n\n",
		"MIME-Version: 1.0\r\n", "Subject: s\r\n", "From: a@b, \r\n", "To: g: a@b;\n", ": ", "\r\n--a\r\n", "\r\n--ab\r\n", "\n--a--\n",
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var b strings.Builder
		for range rng.IntN(40) {
			b.WriteString(pieces[rng.IntN(len(pieces))])
		}
		parse(t, b.String())
		if t.Failed() {
			t.Fatalf("%q", b.String())
		}
	}
}

func BenchmarkParse(b *testing.B) {
	mail := strings.Replace(nested, "hello\r\n", strings.Repeat("A line of text as it stands in most messages of mail.\r\n", 140), 1)
	b.SetBytes(int64(len(mail)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := message.Parse(strings.NewReader(mail)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	encoded := parse(b, nested).Encode()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := message.Decode(encoded); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecoder(b *testing.B) {
	encoded := parse(b, nested).Encode()
	var d message.Decoder
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(encoded); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeEnvelope(b *testing.B) {
	encoded := parse(b, nested).Encode()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := message.DecodeEnvelope(encoded); err != nil {
			b.Fatal(err)
		}
	}
}
