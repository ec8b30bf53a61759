package wire

import (
	"errors"
	"io"

	"mailreplica/internal/fault"
)

// SyntaxError is a command that cannot be obeyed as sent. It has been read to its end: the session answers it and goes
// on. TooBig is answered NO [TOOBIG] (RFC 7889 section 4), everything else BAD; without a tag the answer is untagged.
type SyntaxError struct {
	Tag    string
	Text   string
	TooBig bool
}

func (e *SyntaxError) Error() string { return e.Text }

// Unwrap gives the error its kind.
func (e *SyntaxError) Unwrap() error {
	if e.TooBig {
		return fault.New(fault.TooLarge, "%s", e.Text)
	}
	return fault.New(fault.Invalid, "%s", e.Text)
}

// ProtocolError is input after which nobody can tell commands from content any more. The session says BYE and closes.
type ProtocolError struct{ Text string }

func (e *ProtocolError) Error() string { return e.Text }

// Unwrap gives the error its kind.
func (e *ProtocolError) Unwrap() error { return fault.New(fault.Invalid, "%s", e.Text) }

// connectionError is a failure of the connection itself. io.EOF between commands stays recognisable by errors.Is.
func connectionError(err error) error {
	if fault.Is(err, fault.Interrupted) {
		return err
	}
	return fault.Wrap(fault.Interrupted, err, "the client went away")
}

// cutOff is the end of the stream inside a command or a literal.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return connectionError(err)
}
