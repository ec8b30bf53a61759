package lmtp

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// watchedBytesMax is how much is read ahead while a delivery is under way.
const watchedBytesMax = 4 << 10

var (
	longAgo    = time.Unix(1, 0)
	errClosing = errors.New("the server is shutting down")
)

// source reads a connection: with deadlines, after everything that was written has been sent, and ahead while a delivery
// is under way.
type source struct {
	conn  net.Conn
	flush func() error // before waiting for the client, which may wait for replies

	each  time.Duration // for one read
	until time.Time     // for all reads of this phase

	ahead    []byte // read while a delivery was under way
	buffer   []byte // that ahead lies in, once there was a delivery
	aheadErr error
	watching chan struct{}

	mu      sync.Mutex
	idle    bool // between commands
	closing bool
}

// phase sets how long reads may take from now on.
func (s *source) phase(each, all time.Duration) {
	s.each, s.until = each, time.Now().Add(all)
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	if len(s.ahead) > 0 {
		n := copy(p, s.ahead)
		s.ahead = s.ahead[n:]
		return n, nil
	}
	if s.aheadErr != nil {
		return 0, s.aheadErr
	}
	if err := s.flush(); err != nil {
		return 0, err
	}
	if err := s.arm(); err != nil {
		return 0, err
	}
	n, err := s.conn.Read(p)
	if err != nil && s.interrupted() && errors.Is(err, os.ErrDeadlineExceeded) {
		err = errClosing
	}
	return n, err
}

func (s *source) arm() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idle && s.closing {
		return errClosing
	}
	deadline := time.Now().Add(s.each)
	if s.until.Before(deadline) {
		deadline = s.until
	}
	return s.conn.SetReadDeadline(deadline)
}

func (s *source) interrupted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.idle && s.closing
}

// setIdle says whether the session waits for a command.
func (s *source) setIdle(idle bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = idle
}

// interrupt ends the wait for the next command, now or when it begins.
func (s *source) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	if s.idle {
		_ = s.conn.SetReadDeadline(longAgo) // a connection that refuses is broken, and its reads fail
	}
}

// watch reads ahead until unwatch, so that what the client sends, or its end, before it is answered is known as such. left is called when
// the client ends the connection. It follows a read that was not idle; nothing else reads meanwhile.
func (s *source) watch(left func()) error {
	if s.aheadErr != nil {
		left()
	}
	if s.aheadErr != nil || len(s.ahead) > 0 {
		return nil
	}
	if err := s.conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	s.watching = make(chan struct{})
	if s.buffer == nil {
		s.buffer = make([]byte, watchedBytesMax)
	}
	go func() {
		defer close(s.watching)
		for n := 0; n < len(s.buffer); {
			more, err := s.conn.Read(s.buffer[n:])
			n += more
			s.ahead = s.buffer[:n]
			if err == nil {
				continue
			}
			s.aheadErr = err
			if !errors.Is(err, os.ErrDeadlineExceeded) { // of unwatch
				left()
			}
			return
		}
	}()
	return nil
}

// unwatch ends watch and says whether the client sent something in that time, and whether it ended the connection.
func (s *source) unwatch() (sent, ended bool) {
	if s.watching != nil {
		_ = s.conn.SetReadDeadline(longAgo) // as in interrupt
		<-s.watching
		s.watching = nil
		if errors.Is(s.aheadErr, os.ErrDeadlineExceeded) {
			s.aheadErr = nil
		}
	}
	return len(s.ahead) > 0, s.aheadErr != nil
}

// orderly reports whether a read ended because the client closed the connection as it should.
func orderly(err error) bool { return errors.Is(err, io.EOF) }
