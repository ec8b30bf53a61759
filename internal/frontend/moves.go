package frontend

import (
	"sync"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/imap"
)

// movedGrace is how long a home that is no longer one has to end what waits for it itself, with the answers that it still owes.
const movedGrace = 3 * time.Second

// moves ends what waits for a home whose account has moved. A home that was cut off or stands still cannot say that it is none any more:
// then the directory does.
type moves struct {
	router *Router

	mu      sync.Mutex
	waiting map[account.ID]map[*waiting]struct{}
}

// waiting is a session or a delivery at another mailstore.
type waiting struct {
	id   account.ID
	home string
	end  func()
}

// watch has end called when the account has another home than this one, perhaps more than once and from other goroutines, until stop.
func (m *moves) watch(id account.ID, home string, end func()) (stop func()) {
	w := &waiting{id, home, end}
	m.mu.Lock()
	if m.waiting[id] == nil {
		m.waiting[id] = map[*waiting]struct{}{}
	}
	m.waiting[id][w] = struct{}{}
	m.mu.Unlock()
	m.look(id) // it may have moved while the home was looked up
	return func() { m.forget(w) }
}

func (m *moves) forget(w *waiting) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.waiting[w.id], w)
	if len(m.waiting[w.id]) == 0 {
		delete(m.waiting, w.id)
	}
}

// changed is told what changes in the directory.
func (m *moves) changed(e directory.Event) {
	for _, a := range e.Accounts {
		m.look(a.ID)
	}
}

// look ends after a while what waits for a mailstore that is not the account's home.
func (m *moves) look(id account.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiting[id] == nil {
		return
	}
	a, known := m.router.config.Follower.Copy().Account(id)
	if !known {
		return // its home ends them
	}
	for w := range m.waiting[id] {
		if w.home != a.MailHost {
			time.AfterFunc(movedGrace, func() { m.endOf(w) })
		}
	}
}

// endOf asks once more: where this mailstore has read of the new home in the log, the directory may not have known of it yet.
func (m *moves) endOf(w *waiting) {
	a, known := m.router.config.Follower.Copy().Account(w.id)
	if !known {
		return
	}
	m.mu.Lock()
	_, waits := m.waiting[w.id][w]
	m.mu.Unlock()
	if route, err := m.router.route(a); waits && err == nil && route.Home != w.home {
		w.end()
	}
}

// passedSession is a session that was passed on to a home, as a connection to it. Where it came in it ends here when the account moves, so
// that its client connects again and finds the new home.
type passedSession struct {
	*imap.HomeConn
	stop func()
}

func (m *moves) session(conn *imap.HomeConn, route Route) *passedSession {
	return &passedSession{conn, m.watch(route.Account.ID, route.Home, func() { _ = conn.Close() })}
}

// Close implements net.Conn.
func (s *passedSession) Close() error {
	s.stop()
	return s.HomeConn.Close()
}
