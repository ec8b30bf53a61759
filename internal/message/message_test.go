package message_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"mailreplica/internal/message"
)

// crlf makes a message of a literal: its line ends become CRLF, and a leading one goes.
func crlf(s string) string { return withCRLF(strings.TrimPrefix(s, "\n")) }

// withCRLF makes all line ends CRLF.
func withCRLF(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

func parse(t testing.TB, s string) *message.Summary {
	t.Helper()
	summary, err := message.Parse(strings.NewReader(s))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	checkSummary(t, s, summary)
	return summary
}

// checkSummary checks what holds for every message.
func checkSummary(t testing.TB, s string, summary *message.Summary) {
	t.Helper()
	if summary.Size != int64(len(s)) {
		t.Fatalf("size: got %d, want %d", summary.Size, len(s))
	}
	if root := summary.Root; root.HeaderStart != 0 || root.BodyStart+root.BodySize != summary.Size {
		t.Fatalf("the top part is not the whole message: %+v", root)
	}
	checkPart(t, s, &summary.Root)
	checkTexts(t, reflect.ValueOf(*summary))
	decoded, err := message.Decode(summary.Encode())
	if err != nil {
		t.Fatalf("Decode of Encode: %v", err)
	}
	if !reflect.DeepEqual(decoded, summary) {
		t.Fatalf("Decode of Encode:\ngot  %+v\nwant %+v", decoded, summary)
	}
	checkSections(t, summary, &summary.Root, nil)
}

// checkTexts checks that no text can break a line of a protocol.
func checkTexts(t testing.TB, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		if strings.ContainsAny(v.String(), "\r\n") {
			t.Fatalf("a text holds a line end: %q", v.String())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			checkTexts(t, v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			checkTexts(t, v.Index(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			checkTexts(t, v.Elem())
		}
	}
}

// checkPart checks that a part has its defaults, and that what is in it lies in its body, in order.
func checkPart(t testing.TB, s string, p *message.Part) {
	t.Helper()
	if p.Type == "" || p.Subtype == "" || p.Encoding == "" {
		t.Fatalf("a part lacks a default: %+v", p)
	}
	if p.BodyStart != p.HeaderStart+p.HeaderSize {
		t.Fatalf("the body does not follow the header: %+v", p)
	}
	end := p.BodyStart + p.BodySize
	if p.HeaderStart < 0 || p.HeaderSize < 0 || p.BodySize < 0 || end > int64(len(s)) {
		t.Fatalf("a part lies outside the message: %+v", p)
	}
	if got := int64(strings.Count(s[p.BodyStart:end], "\n")); got != p.Lines {
		t.Fatalf("lines: got %d, want %d in %+v", p.Lines, got, p)
	}
	if strings.EqualFold(p.Type, "multipart") != p.IsMultipart() {
		t.Fatalf("multipart without parts, or parts without multipart: %+v", p)
	}
	at := p.BodyStart
	for i := range p.Children {
		c := &p.Children[i]
		if c.HeaderStart < at || c.BodyStart+c.BodySize > end {
			t.Fatalf("child %d lies outside its multipart or overlaps: %+v", i+1, c)
		}
		at = c.BodyStart + c.BodySize
		checkPart(t, s, c)
	}
	isMessage := strings.EqualFold(p.Type, "message") && strings.EqualFold(p.Subtype, "rfc822")
	if isMessage != (p.Message != nil) {
		t.Fatalf("message/rfc822 without a message, or the reverse: %+v", p)
	}
	if m := p.Message; m != nil {
		if m.Root.HeaderStart != p.BodyStart || m.Root.BodyStart+m.Root.BodySize != end {
			t.Fatalf("a message does not fill its part: %+v in %+v", m.Root, p)
		}
		checkPart(t, s, &m.Root)
	}
}

// checkSections checks that every section of every part is found where the part is.
func checkSections(t testing.TB, summary *message.Summary, p *message.Part, path []int) {
	t.Helper()
	if len(path) > 0 {
		got, ok := summary.PartAt(path)
		if !ok || got != p {
			t.Fatalf("PartAt(%v): got %+v %v, want %+v", path, got, ok, p)
		}
		start, size, ok := summary.Section(path, message.MIME)
		if !ok || start != p.HeaderStart || size != p.HeaderSize {
			t.Fatalf("Section(%v, MIME): got %d %d %v of %+v", path, start, size, ok, p)
		}
		start, size, ok = summary.Section(path, message.Whole)
		if !ok || start != p.BodyStart || size != p.BodySize {
			t.Fatalf("Section(%v, Whole): got %d %d %v of %+v", path, start, size, ok, p)
		}
	}
	root := p
	if p.Message != nil && len(path) > 0 {
		root = &p.Message.Root
		h, hs, ok1 := summary.Section(path, message.Header)
		x, xs, ok2 := summary.Section(path, message.Text)
		w, ws, ok3 := summary.Section(path, message.Whole)
		if !ok1 || !ok2 || !ok3 || h != w || h+hs != x || hs+xs != ws {
			t.Fatalf("Section(%v): header %d+%d and text %d+%d are not the whole %d+%d", path, h, hs, x, xs, w, ws)
		}
	}
	if root.IsMultipart() {
		for i := range root.Children {
			checkSections(t, summary, &root.Children[i], append(path[:len(path):len(path)], i+1))
		}
	} else if root != p || len(path) == 0 {
		checkSections(t, summary, root, append(path[:len(path):len(path)], 1))
	}
}

// outline writes a structure in short: type/subtype, header and body ranges, lines.
func outline(p *message.Part) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%s %d+%d/%d:%d", strings.ToLower(p.Type), strings.ToLower(p.Subtype),
		p.HeaderStart, p.HeaderSize, p.BodySize, p.Lines)
	for i := range p.Children {
		fmt.Fprintf(&b, " (%s)", outline(&p.Children[i]))
	}
	if p.Message != nil {
		fmt.Fprintf(&b, " [%s]", outline(&p.Message.Root))
	}
	return b.String()
}

// types is outline without numbers.
func types(p *message.Part) string {
	s := strings.ToLower(p.Type + "/" + p.Subtype)
	for i := range p.Children {
		s += " (" + types(&p.Children[i]) + ")"
	}
	if p.Message != nil {
		s += " [" + types(&p.Message.Root) + "]"
	}
	return s
}

// section cuts a section out of a message; "(none)" if there is none.
func section(s string, summary *message.Summary, spec message.Specifier, path ...int) string {
	start, size, ok := summary.Section(path, spec)
	if !ok {
		return "(none)"
	}
	return s[start : start+size]
}
