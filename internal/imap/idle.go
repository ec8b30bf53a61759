package imap

import (
	"errors"

	"mailreplica/internal/imap/wire"
)

// idle answers IDLE (RFC 2177): it tells what happens until the client says DONE.
func (s *session) idle(c *wire.Command) (outcome, error) {
	s.out.Continue("idling")
	s.link.setIdling(true)
	defer s.link.setIdling(false)
	for {
		if s.view != nil {
			s.syncBefore(true)
		}
		if err := s.out.Flush(); err != nil {
			return outcome{}, err
		}
		if reason := s.endReason(); reason != nil {
			s.bye(reason)
			return outcome{answered: true, ends: true}, nil
		}
		if s.in.Buffered() > 0 {
			break
		}
		err := s.await()
		if err == nil {
			break
		}
		if !errors.Is(err, errWoken) {
			s.leave(err)
			return outcome{answered: true, ends: true}, nil
		}
	}
	err := s.in.ReadDone()
	if err != nil {
		return outcome{}, withTag(err, c.Tag)
	}
	return outcome{text: "Idle ended"}, nil
}
