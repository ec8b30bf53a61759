package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"mailreplica/internal/fault"
)

// field is one named value of a record. Its value is a string, a number, a truth value, a time, a pointer to one of these
// (nil: null), or records.
type field struct {
	name  string
	value any
	more  bool // of --json alone
	table bool // of tables alone
	text  bool // prose, which a table may break into lines
	spare int  // of a table that is too wide for the terminal, columns are left out, the highest first; 0: this one never
}

// record is what a command tells of one thing, in order.
type record []field

// records are nested in a record under one name.
type records []record

// print shows records: as JSON if it was asked for, as tables on a terminal, else one "key value" a line.
func (s *session) print(all records) error {
	var out bytes.Buffer
	switch {
	case s.json:
		if err := writeJSON(&out, all); err != nil {
			return err
		}
	case s.terminalWidth > 0:
		writeTables(&out, all, s.terminalWidth)
	default:
		writeLines(&out, all)
	}
	return s.write(out.Bytes())
}

// printOne shows a single record: on a terminal one field a line, texts in full.
func (s *session) printOne(one record) error {
	if s.json || s.terminalWidth == 0 {
		return s.print(records{one})
	}
	var out bytes.Buffer
	writeBlock(&out, one)
	for _, f := range one {
		if nested, ok := f.value.(records); ok && len(nested) > 0 {
			out.WriteString("\n")
			writeTable(&out, nested, s.terminalWidth)
		}
	}
	return s.write(out.Bytes())
}

func (s *session) write(answer []byte) error {
	if _, err := s.stdout.Write(answer); err != nil {
		return fault.Wrap(fault.Interrupted, err, "the answer cannot be written")
	}
	return nil
}

func writeJSON(w io.Writer, all records) error {
	if all == nil {
		all = records{}
	}
	var answer struct {
		Response struct {
			Values records `json:"values"`
		} `json:"response"`
	}
	answer.Response.Values = all
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(answer); err != nil {
		return fault.Wrap(fault.Internal, err, "the answer cannot be encoded")
	}
	return nil
}

// MarshalJSON keeps the order of the fields.
func (r record) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for _, f := range r {
		if f.table {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(f.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(f.value)
		if err != nil {
			return nil, err
		}
		b.Write(append(append(name, ':'), value...))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// writeLines writes one "key value" a line, and a blank line between records. Nested records follow theirs.
func writeLines(w io.Writer, all records) {
	for i, r := range flatten(all) {
		if i > 0 {
			fmt.Fprintln(w)
		}
		for _, f := range r {
			if _, nested := f.value.(records); !nested && !f.more && !f.table {
				fmt.Fprintln(w, strings.TrimRight(f.name+" "+printable(textOf(f.value)), " "))
			}
		}
	}
}

func flatten(all records) records {
	var flat records
	for _, r := range all {
		flat = append(flat, r)
		for _, f := range r {
			if nested, ok := f.value.(records); ok {
				flat = append(flat, flatten(nested)...)
			}
		}
	}
	return flat
}

// textOf is a value as people read it.
func textOf(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case *string:
		return deref(v)
	case *int64:
		return deref(v)
	case *uint64:
		return deref(v)
	case *bool:
		return deref(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	case *time.Time:
		if v == nil {
			return "null"
		}
		return textOf(*v)
	}
	return fmt.Sprint(value)
}

func deref[T any](v *T) string {
	if v == nil {
		return "null"
	}
	return fmt.Sprint(*v)
}

// printable makes a text one line that moves no cursor: what is not to be seen is escaped.
func printable(text string) string {
	if !strings.ContainsFunc(text, isHidden) && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(text, "\uFFFD") {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case isHidden(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isHidden(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }
