package main

import (
	"fmt"
	"strings"
	"sync"
)

// entry is what the demonstration knows of one message that it delivered.
type entry struct {
	id        string
	delivered bool   // acknowledged
	folder    string // acknowledged; INBOX at first
	flags     map[string]bool
	gone      bool              // expunged, acknowledged
	doubt     bool              // a change of it was not answered: either state is right
	uids      map[string]uint64 // by folder: as a client has seen them
}

// ledger is what one account must hold.
type ledger struct {
	name string

	mu      sync.Mutex
	entries map[string]*entry
	changes int // acknowledged, deliveries included
	seen    map[string]folder
}

func newLedger(name string) *ledger {
	return &ledger{name: name, entries: map[string]*entry{}, seen: map[string]folder{}}
}

func (l *ledger) sending(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries[id] = &entry{id: id, folder: "INBOX", flags: map[string]bool{}, uids: map[string]uint64{}}
}

// acknowledged records that a change of a message was answered with OK.
func (l *ledger) acknowledged(id string, change func(*entry)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[id]; e != nil {
		change(e)
		l.changes++
	}
}

// doubtful records that a change of a message was begun and not answered.
func (l *ledger) doubtful(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[id]; e != nil {
		e.doubt = true
	}
}

// saw records what a client knows of a folder.
func (l *ledger) saw(name string, f folder) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[name] = f
	for uid, m := range f.messages {
		if e := l.entries[m.id]; e != nil {
			e.uids[name] = uid
		}
	}
}

// verdict is what comparing an account with its ledger found.
type verdict struct {
	acknowledged, found, lost, duplicated, uidsChanged int
	details                                            []string
}

func (v *verdict) add(w verdict) {
	v.acknowledged += w.acknowledged
	v.found += w.found
	v.lost += w.lost
	v.duplicated += w.duplicated
	v.uidsChanged += w.uidsChanged
	v.details = append(v.details, w.details...)
}

func (v *verdict) say(format string, args ...any) {
	v.details = append(v.details, fmt.Sprintf(format, args...))
}

// compare holds the account, as read now, against the ledger.
func (l *ledger) compare(now map[string]folder) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := verdict{acknowledged: l.changes}
	type place struct {
		folder string
		uid    uint64
		flags  string
	}
	places := map[string][]place{}
	for name, f := range now {
		for uid, m := range f.messages {
			places[m.id] = append(places[m.id], place{name, uid, m.flags})
		}
		if before, known := l.seen[name]; known && before.validity != f.validity {
			v.uidsChanged++
			v.say("%s: UIDVALIDITY of %s was %d and is %d", l.name, name, before.validity, f.validity)
		}
	}
	for id, e := range l.entries {
		at := places[id]
		if len(at) > 1 {
			v.duplicated++
			v.say("%s: message %s is there %d times: %v", l.name, id, len(at), at)
		}
		for _, p := range at {
			if uid, known := e.uids[p.folder]; known && uid != p.uid {
				v.uidsChanged++
				v.say("%s: UID of %s in %s was %d and is %d", l.name, id, p.folder, uid, p.uid)
			}
		}
		if !e.delivered || e.doubt {
			continue
		}
		switch {
		case e.gone && len(at) == 0:
			v.found++
		case e.gone:
			v.lost++
			v.say("%s: message %s was expunged and is back", l.name, id)
		case len(at) == 0:
			v.lost++
			v.say("%s: message %s was acknowledged and is not there", l.name, id)
		case at[0].folder != e.folder || !hasFlags(at[0].flags, e.flags):
			v.lost++
			v.say("%s: message %s is in %s with (%s), want %s with %v", l.name, id, at[0].folder, at[0].flags, e.folder, e.flags)
		default:
			v.found++
		}
	}
	return v
}

func hasFlags(text string, want map[string]bool) bool {
	have := map[string]bool{}
	for _, flag := range strings.Fields(text) {
		have[flag] = true
	}
	for flag := range want {
		if !have[flag] {
			return false
		}
	}
	return true
}

// messages counts those that were acknowledged and are not in doubt.
func (l *ledger) messages() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.delivered && !e.doubt {
			n++
		}
	}
	return n
}
