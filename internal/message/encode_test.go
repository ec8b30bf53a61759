package message_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"mailreplica/internal/fault"
	"mailreplica/internal/message"
)

var update = flag.Bool("update", false, "write the golden files anew; never for a version that was released")

// TestGolden pins the encoding, version 1: it must be read for ever.
func TestGolden(t *testing.T) {
	for name, mail := range map[string]string{
		"empty":  "",
		"nested": nested,
		"digest": digest,
		"everything": crlf(`
From: "A B" <@r:a@x.example>, G: g@x.example;
Sender: s@x.example
Reply-To: r@x.example
To: t@x.example
Cc: c@x.example
Bcc: b@x.example
Date: Sat, 24 Mar 2007 23:00:00 +0200
Subject:
Message-ID: <1@x.example>
In-Reply-To: <0@x.example>
Content-Type: image/PNG; name="a b.png"; x=y
Content-ID: <2@x.example>
Content-Description: a picture
Content-Transfer-Encoding: BASE64
Content-Disposition: attachment; filename=a.png
Content-Language: en, de
Content-Location: http://x.example/
Content-MD5: Q2hlY2s=

AAAA
`),
	} {
		t.Run(name, func(t *testing.T) {
			summary := parse(t, mail)
			file := filepath.Join("testdata", "golden", name+".v1.hex")
			if *update {
				text := hex.Dump(summary.Encode())
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.Dump(summary.Encode()); got != string(text) {
				t.Errorf("got\n%s\nwant\n%s", got, text)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := parse(t, nested).Encode()
	for i := range good {
		if _, err := message.Decode(good[:i]); !fault.Is(err, fault.Internal) {
			t.Fatalf("cut to %d bytes: got %v, want an internal error", i, err)
		}
	}
	plain := parse(t, "A: b\r\n\r\nx").Encode()
	change := func(at int, to byte) []byte {
		b := bytes.Clone(plain)
		b[at] = to
		return b
	}
	n := len(plain)
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"version", change(0, 9), "version 9"},
		{"left over", append(bytes.Clone(plain), 0), "1 bytes are left over"},
		{"size", change(1, 8), "behind its parent"},
		{"not the whole message", change(1, 10), "not the whole"},
		{"envelope flags", change(2, 0xc0), "envelope flags"},
		{"body behind the end", change(n-2, 2), "behind its parent"},
		{"lines", change(n-1, 2), "more lines than bytes"},
		{"header does not start at 0", append(bytes.Clone(plain[:n-4]), 1, 8, 0, 0), "not the whole"},
		{"too long", make([]byte, 3<<20), "longer than"},
		{"huge text", append(bytes.Clone(plain[:3]), 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), "cut off"},
		{"huge number", append([]byte{1}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), "not possible"},
		{"overlong number", append([]byte{1}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), "cut off in a number"},
		{"unknown word", change(3, 0xff&^0x80), "dictionary"},
	} {
		_, err := message.Decode(c.b)
		if !fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, mail := range []string{"", nested, digest, "To: a@b, g: c@d;\n\n", "Content-Type: multipart/mixed; boundary=a\n\n--a\n\n--a--"} {
		f.Add([]byte(mail))
	}
	f.Fuzz(func(t *testing.T, mail []byte) {
		summary := parse(t, string(mail))
		header := mail[:summary.Root.HeaderSize]
		kept := message.HeaderFields(header, []string{"subject"}, false)
		rest := message.HeaderFields(header, []string{"subject"}, true)
		if len(kept)+len(rest) > len(header)+2 {
			t.Errorf("the two halves of a header are longer than it: %q and %q of %q", kept, rest, header)
		}
		message.DecodeHeader(summary.Envelope.Subject)
	})
}

func FuzzDecode(f *testing.F) {
	for _, mail := range []string{"", nested, digest} {
		f.Add(parse(f, mail).Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		summary, err := message.Decode(b)
		if err != nil {
			if !fault.Is(err, fault.Internal) {
				t.Errorf("got %v, want an internal error", err)
			}
			return
		}
		envelope, size, err := message.DecodeEnvelope(b)
		if err != nil || size != summary.Size || !reflect.DeepEqual(envelope, summary.Envelope) {
			t.Errorf("DecodeEnvelope: got %+v of %d bytes, %v, want %+v of %d", envelope, size, err, summary.Envelope, summary.Size)
		}
		var reused message.Decoder
		for range 2 {
			if got, err := reused.Decode(b); err != nil || !reflect.DeepEqual(got, summary) {
				t.Errorf("Decoder: got %+v, %v, want %+v", got, err, summary)
			}
			got, err := reused.Envelope(b)
			if err != nil || !reflect.DeepEqual(got, &message.Summary{Envelope: envelope, Size: size}) {
				t.Errorf("Decoder.Envelope: got %+v, %v, want %+v", got, err, envelope)
			}
		}
		again, err := message.Decode(summary.Encode())
		if err != nil {
			t.Fatalf("Decode of Encode: %v", err)
		}
		if !bytes.Equal(again.Encode(), summary.Encode()) {
			t.Errorf("got %+v, want %+v", again, summary)
		}
	})
}
