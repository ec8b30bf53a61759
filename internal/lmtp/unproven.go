package lmtp

import (
	"io"
	"net"
	"time"
)

// unprovenMax bounds the receipts of one session: a client that never waits for an answer never proves that it reads any.
const unprovenMax = 10_000

// endWait is how long a client that sent QUIT too early is given to close the connection.
const endWait = 10 * time.Second

// unproven holds the receipts of deliveries that were answered 250 while it is not known that the client has read that.
// DESIGN.md, "Answered", walks through what each sign proves.
type unproven struct {
	receipts []Receipt
	early    bool // commands had been sent before the answer was written, so that a command proves nothing
}

// answersWritten notes deliveries whose answers have just been sent. Of a client that had ended the connection before,
// nothing will ever prove that it read them.
func (s *session) answersWritten(receipts []Receipt, early, ended bool) {
	if s.relayed {
		return // the mailstore that relayed watches the client, and says so with XANSWERED
	}
	if ended {
		s.unproven = unproven{}
		return
	}
	if len(s.unproven.receipts)+len(receipts) > unprovenMax {
		s.unproven.receipts = nil // harmless: they count as unanswered
	}
	s.unproven.receipts = append(s.unproven.receipts, receipts...)
	s.unproven.early = early
}

func (s *session) proven() {
	if len(s.unproven.receipts) > 0 {
		s.server.config.Backend.Answered(s.unproven.receipts, false)
	}
	s.unproven = unproven{}
}

// commandRead: a command that was sent after the answer proves that the answer was read.
func (s *session) commandRead() {
	if !s.unproven.early {
		s.proven()
	}
}

// contentRead: a client that waited for 354 before it sent a message has read everything before the 354.
func (s *session) contentRead(waited bool) {
	if waited {
		s.proven()
	}
}

// connectionEnded: a client that closes the connection in order, after the answer was sent, has read it; one that dies
// before it has read resets the connection.
func (s *session) connectionEnded(err error) {
	if orderly(err) {
		s.proven()
	}
}

// awaitEnd waits for the client to close the connection, if that proves anything.
func (s *session) awaitEnd() {
	if len(s.unproven.receipts) == 0 || s.out.Flush() != nil {
		return
	}
	if half, ok := s.source.conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() != nil {
		return
	}
	s.source.phase(endWait, endWait)
	s.source.setIdle(true) // a shutdown does not wait for it
	n, err := io.Copy(io.Discard, io.LimitReader(s.in, longCommandBytesMax))
	if err == nil && n < longCommandBytesMax {
		s.connectionEnded(io.EOF)
	}
}

var _ interface{ CloseWrite() error } = (*net.TCPConn)(nil)
