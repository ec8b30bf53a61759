package imap

import (
	"strings"
	"sync/atomic"
	"time"

	"mailreplica/internal/imap/wire"
	"mailreplica/internal/measure"
)

// Measures are what a server counts.
type Measures struct {
	Logins   measure.Outcomes            // of clients; not those that another mailstore has passed on, which counted them
	Commands map[string]*CommandMeasures // by name, UID or not; never altered. What was no command is under Unknown
}

// Unknown stands for what clients sent that is no command.
const Unknown = "unknown"

// CommandMeasures are those of one command.
type CommandMeasures struct {
	OK, No, Bad atomic.Uint64     // by how it was answered; No also where it was broken off
	Seconds     measure.Durations // of those that change something, from the command to its answer, with what it waited for literals
	Changes     bool
}

// changing are the commands that change a mailbox.
var changing = map[string]bool{
	"CREATE": true, "DELETE": true, "RENAME": true, "SUBSCRIBE": true, "UNSUBSCRIBE": true, "APPEND": true, "CLOSE": true,
	"EXPUNGE": true, "STORE": true, "COPY": true, "MOVE": true,
}

func newCommandMeasures() map[string]*CommandMeasures {
	m := map[string]*CommandMeasures{Unknown: {}}
	for name := range commands {
		name = strings.TrimPrefix(name, "UID ")
		m[name] = &CommandMeasures{Changes: changing[name]}
	}
	return m
}

// Measures are counted on while the server runs.
func (s *Server) Measures() *Measures { return &s.measures }

// of are the measures of a command.
func (m *Measures) of(name string) *CommandMeasures {
	if found := m.Commands[strings.TrimPrefix(name, "UID ")]; found != nil {
		return found
	}
	return m.Commands[Unknown]
}

// count counts one command.
func (m *CommandMeasures) count(status wire.ResponseStatus, begun time.Time) {
	switch status {
	case wire.NO:
		m.No.Add(1)
	case wire.BAD:
		m.Bad.Add(1)
	default:
		m.OK.Add(1)
	}
	if m.Changes {
		m.Seconds.Since(begun)
	}
}
