package imap

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

const (
	headBytes = 512 // most commands fit: an idle session holds no other read buffer

	stallDefault = 5 * time.Minute // inside a command or a literal
	writeTimeout = 5 * time.Minute // of a client that does not read
)

var (
	errWoken   = errors.New("woken")
	errTimeout = errors.New("timed out")
)

// link is a session's connection. One goroutine reads and writes; others may wake it while it waits for a command. A
// wake never disturbs a read inside a command: with the mutex held, wake either finds the reader waiting and moves its
// deadline into the past, or leaves a note that the next wait finds before it sleeps.
type link struct {
	conn  net.Conn      // replaced under mu by STARTTLS
	stall time.Duration // how long a read inside a command may take
	until time.Time     // when all reads of a long command must be done; zero for never

	mu      sync.Mutex
	waiting bool // in await, perhaps asleep
	idling  bool // wants to hear of changes
	woken   bool

	head       [headBytes]byte // read by await, not yet consumed
	start, end int
}

// await waits for the first bytes of a command. Its error is errWoken, errTimeout or the connection's.
func (l *link) await(timeout time.Duration) error {
	if l.start < l.end {
		return nil
	}
	if err := l.arm(timeout); err != nil {
		return err
	}
	n, err := l.conn.Read(l.head[:])
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = false
	if n > 0 {
		l.start, l.end = 0, n
		return nil // an error comes again, a wake is kept
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if l.woken {
			l.woken = false
			return errWoken
		}
		return errTimeout
	}
	return err
}

// arm lets the read that follows be woken. A connection that takes no deadline is broken, and is not waited for.
func (l *link) arm(timeout time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.woken {
		l.woken = false
		return errWoken
	}
	if err := l.conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	l.waiting = true
	return nil
}

// setIdling says whether changes wake the session. It is set before the session first looks for changes: one that comes
// while it looks, or writes, is kept for the next wait.
func (l *link) setIdling(idling bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idling = idling
}

// wake ends a wait, the present or the next. One for a mere change does so only where the session idles.
func (l *link) wake(change bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if change && !l.idling {
		return
	}
	l.woken = true
	if l.waiting {
		_ = l.conn.SetReadDeadline(time.Unix(1, 0)) // the read fails on a broken connection anyway
	}
}

// Read serves the grammar's reader inside a command.
func (l *link) Read(p []byte) (int, error) {
	if l.start < l.end {
		n := copy(p, l.head[l.start:l.end])
		l.start += n
		return n, nil
	}
	deadline := time.Now().Add(l.stall)
	if !l.until.IsZero() && l.until.Before(deadline) {
		deadline = l.until
	}
	if err := l.conn.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	return l.conn.Read(p)
}

// pending is the number of bytes that were read ahead.
func (l *link) pending() int { return l.end - l.start }

func (l *link) Write(p []byte) (int, error) {
	if err := l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return l.conn.Write(p)
}

// upgrade puts another connection, which speaks TLS over the old one, in its place.
func (l *link) upgrade(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = conn
}

func (l *link) close() {
	l.mu.Lock()
	conn := l.conn
	l.mu.Unlock()
	_ = conn.Close() // over TLS that can take a while, and whoever wakes the session must not wait for it
}
