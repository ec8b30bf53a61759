package wire_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"mailreplica/internal/imap/wire"
)

// A session's loop: what a server does around the grammar.
func Example() {
	client := strings.NewReader("a NOOP\r\n" +
		"b APPEND INBOX (\\Seen) {5+}\r\nhello {3+}\r\nyou\r\n" +
		"c IDLE\r\nDONE\r\n" +
		"d FROB {10+}\r\nx LOGOUT\r\n\r\n" +
		"e LOGOUT\r\n")
	w := wire.NewWriter(crlf{os.Stdout})
	r := wire.NewReader(client, wire.DefaultLimits(), func() error {
		w.Continue("OK")
		return w.Flush()
	})
	w.UntaggedStatus(wire.OK, "CAPABILITY IMAP4rev1 LITERAL+", "Ready")
	for {
		if r.Buffered() == 0 { // responses to pipelined commands travel together
			if w.Flush() != nil {
				return
			}
		}
		command, err := r.Command()
		if err != nil {
			if !answer(w, err) {
				return
			}
			continue
		}
		switch command.Name {
		case "APPEND":
			err = appendMessages(command.Args.(*wire.Append))
		case "IDLE":
			w.Continue("idling")
			_ = w.Flush()
			err = r.ReadDone() // in a goroutine of its own: the session writes what changes meanwhile
		}
		if command.Name == "LOGOUT" {
			w.Bye("", "Logging out")
		}
		if err == nil {
			w.Tagged(command.Tag, wire.OK, "", command.Name+" completed")
		} else if !answer(w, tagged(err, command.Tag)) {
			return
		}
		if command.Name == "LOGOUT" {
			_ = w.Flush()
			return
		}
	}
	// Output:
	// * OK [CAPABILITY IMAP4rev1 LITERAL+] Ready
	// message of 5 bytes: hello
	// message of 3 bytes: you
	// a OK NOOP completed
	// b OK APPEND completed
	// + idling
	// c OK IDLE completed
	// d BAD Unknown command
	// * BYE Logging out
	// e OK LOGOUT completed
}

// appendMessages streams every message of an APPEND. To refuse, a session calls Discard and answers NO.
func appendMessages(a *wire.Append) error {
	for {
		m, err := a.Next()
		if err == io.EOF {
			return nil // only now may the messages be kept
		}
		if err != nil {
			return err
		}
		body, err := m.Accept()
		if err != nil {
			return err
		}
		content, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		fmt.Printf("message of %d bytes: %s\n", m.Size, content)
	}
}

// answer writes the response to an error of the reader, and reports whether the session goes on.
func answer(w *wire.Writer, err error) bool {
	var syntax *wire.SyntaxError
	var protocol *wire.ProtocolError
	switch {
	case errors.As(err, &syntax) && syntax.TooBig:
		w.Tagged(syntax.Tag, wire.NO, "TOOBIG", syntax.Text)
	case errors.As(err, &syntax):
		w.Tagged(syntax.Tag, wire.BAD, "", syntax.Text)
	case errors.As(err, &protocol):
		w.Bye("", protocol.Text)
		_ = w.Flush()
		return false
	default:
		return false // the connection is gone
	}
	return true
}

// tagged gives an error of ReadDone the tag of its IDLE.
func tagged(err error, tag string) error {
	var syntax *wire.SyntaxError
	if errors.As(err, &syntax) && syntax.Tag == "" {
		return &wire.SyntaxError{Tag: tag, Text: syntax.Text, TooBig: syntax.TooBig}
	}
	return err
}

// crlf makes the output of the example comparable.
type crlf struct{ w io.Writer }

func (c crlf) Write(b []byte) (int, error) {
	_, err := io.WriteString(c.w, strings.ReplaceAll(string(b), "\r\n", "\n"))
	return len(b), err
}
