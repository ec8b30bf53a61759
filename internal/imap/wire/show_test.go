package wire_test

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/imap/wire"
)

// show renders parsed arguments: type names, and only the fields that are set.
func show(v any) string {
	if v == nil {
		return ""
	}
	var b strings.Builder
	showValue(&b, reflect.ValueOf(v))
	return b.String()
}

func showValue(b *strings.Builder, v reflect.Value) {
	switch x := v.Interface().(type) {
	case time.Time:
		b.WriteString(wire.FormatInternalDate(x))
		return
	case wire.NumSet:
		b.WriteString(x.String())
		return
	case wire.FetchItem:
		b.WriteString(x.Label())
		if x.Partial != nil {
			fmt.Fprintf(b, ".%d", x.Partial.Count)
		}
		if x.Peek {
			b.WriteString(" peek")
		}
		return
	case wire.Date:
		fmt.Fprintf(b, "%04d-%02d-%02d", x.Year, x.Month, x.Day)
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			b.WriteString("nil")
			return
		}
		showValue(b, v.Elem())
	case reflect.Struct:
		b.WriteString(v.Type().Name() + "{")
		showFields(b, v)
		b.WriteString("}")
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			fmt.Fprintf(b, "%q", v.Bytes())
			return
		}
		b.WriteString("[")
		for i := range v.Len() {
			if i > 0 {
				b.WriteString(" ")
			}
			showValue(b, v.Index(i))
		}
		b.WriteString("]")
	case reflect.String:
		fmt.Fprintf(b, "%q", v.String())
	default:
		fmt.Fprint(b, v.Interface())
	}
}

func showFields(b *strings.Builder, v reflect.Value) {
	separator := ""
	for i := range v.NumField() {
		f := v.Field(i)
		if !v.Type().Field(i).IsExported() || f.IsZero() {
			continue
		}
		fmt.Fprintf(b, "%s%s:", separator, v.Type().Field(i).Name)
		showValue(b, f)
		separator = " "
	}
}

// chunks is a client that sends one chunk at a time: the next is not there before the reader asks for it.
type chunks []string

func (c *chunks) Read(b []byte) (int, error) {
	if len(*c) == 0 {
		return 0, io.EOF
	}
	n := copy(b, (*c)[0])
	if (*c)[0] = (*c)[0][n:]; (*c)[0] == "" {
		*c = (*c)[1:]
	}
	return n, nil
}

var smallLimits = wire.Limits{CommandBytesMax: 200, LiteralBytesMax: 50, AppendBytesMax: 100}

// transcript reads every command of a client and renders what the server saw. "+" is a continuation request.
func transcript(limits wire.Limits, client ...string) []string {
	src := chunks(slices.Clone(client)) // reading consumes it
	var lines []string
	r := wire.NewReader(&src, limits, func() error {
		lines = append(lines, "+")
		return nil
	})
	for {
		command, err := r.Command()
		line, goOn := showResult(command, err)
		lines = append(lines, line)
		if command != nil {
			if a, ok := command.Args.(*wire.Append); ok {
				goOn = appendTranscript(a, func(line string) { lines = append(lines, line) })
			}
		}
		if !goOn {
			return lines
		}
	}
}

func showResult(command *wire.Command, err error) (line string, goOn bool) {
	var syntax *wire.SyntaxError
	var protocol *wire.ProtocolError
	switch {
	case err == nil:
		return strings.TrimSpace(command.Tag + " " + command.Name + " " + show(command.Args)), true
	case errors.As(err, &syntax):
		if syntax.TooBig {
			return syntax.Tag + " NO [TOOBIG] " + syntax.Text, true
		}
		return syntax.Tag + " BAD " + syntax.Text, true
	case errors.As(err, &protocol):
		return "BYE " + protocol.Text, false
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "cut off", false
	case errors.Is(err, io.EOF):
		return "left", false
	}
	return "error " + err.Error(), false
}

// appendTranscript takes every message of an APPEND, and reports whether the connection lives on.
func appendTranscript(a *wire.Append, emit func(line string)) bool {
	for {
		m, err := a.Next()
		if err == io.EOF {
			emit("complete")
			return true
		}
		if err != nil {
			line, goOn := showResult(nil, err)
			emit(line)
			return goOn
		}
		body, err := m.Accept()
		if err != nil {
			emit("error " + err.Error())
			return false
		}
		content, err := io.ReadAll(body)
		emit(fmt.Sprintf("%s %q", show(m), content))
		if err != nil {
			line, _ := showResult(nil, err)
			emit(line)
			return false
		}
	}
}

func check(t *testing.T, got, want []string) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}
