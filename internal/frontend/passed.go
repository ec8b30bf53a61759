package frontend

import (
	"sync"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/imap"
)

// movedGrace is how long a home that is no longer one has to end its sessions itself, with the answers that it still owes.
const movedGrace = 3 * time.Second

// passed knows the sessions that were passed on to homes. A home that was cut off or stands still cannot say that its account has
// moved: then the directory does, and the sessions end here, so that clients connect again and find the new home.
type passed struct {
	copy *directory.Copy

	mu       sync.Mutex
	sessions map[account.ID]map[*passedSession]struct{}
}

// passedSession is one of them, as a connection to its home.
type passedSession struct {
	*imap.HomeConn
	passed *passed
	id     account.ID
	home   string
}

// Close implements net.Conn.
func (s *passedSession) Close() error {
	s.passed.mu.Lock()
	delete(s.passed.sessions[s.id], s)
	if len(s.passed.sessions[s.id]) == 0 {
		delete(s.passed.sessions, s.id)
	}
	s.passed.mu.Unlock()
	return s.HomeConn.Close()
}

// add makes a session known, until it is closed.
func (p *passed) add(conn *imap.HomeConn, route Route) *passedSession {
	s := &passedSession{conn, p, route.Account.ID, route.Home}
	p.mu.Lock()
	if p.sessions[s.id] == nil {
		p.sessions[s.id] = map[*passedSession]struct{}{}
	}
	p.sessions[s.id][s] = struct{}{}
	p.mu.Unlock()
	p.look(s.id) // it may have moved while the home was asked
	return s
}

// changed is told what changes in the directory.
func (p *passed) changed(e directory.Event) {
	for _, a := range e.Accounts {
		p.look(a.ID)
	}
}

// look ends the sessions of an account that are not with its home, after a while.
func (p *passed) look(id account.ID) {
	a, known := p.copy.Account(id)
	if !known {
		return // its home ends them
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := range p.sessions[id] {
		if s.home != a.MailHost {
			time.AfterFunc(movedGrace, func() { _ = s.Close() })
		}
	}
}
