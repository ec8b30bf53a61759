package node

import (
	"encoding/json"
	"net/http"
	"strings"

	"mailreplica/internal/protocol"
)

// health is what /readyz says: whether the mailstore can do all it is there for, and if not, what is wanting.
type health struct {
	Ready     bool
	Directory string `json:",omitempty"` // what is wrong with it; empty: it answers
	Log       string `json:",omitempty"`
	Copies    copies
}

// copies counts the copies of this mailstore.
type copies struct {
	Primaries, Replicas int
	NotServing          int // primaries that answer no client now
	NotComplete         int // copies that are being made, in gap or diverged
}

// withHealth answers /healthz and /readyz, without a token, /metrics and /nginx/auth, and hands everything else on. /healthz answers 200 as long as
// the process does; /readyz answers 503 while something is wanting, and says what.
func (n *Node) withHealth(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, struct{}{}) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		h := n.health(n.countCopies())
		status := http.StatusOK
		if !h.Ready {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, h)
	})
	mux.Handle("GET /metrics", n.metricsHandler())
	mux.Handle("GET /nginx/auth", n.nginxHandler())
	mux.Handle("/", next)
	return mux
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the asker has gone
}

func (n *Node) health(held heldCopies) health {
	h := health{Copies: held.copies}
	if problem := n.follower.Status().Problem; problem != nil {
		h.Directory = "the directory does not answer; the copy of it serves"
	}
	switch brokers, _ := n.copy.Config(configNameBrokers); {
	case brokers == "" || n.logReachable():
	case n.agentStopped():
		h.Log = "an operator stopped the agent; writes to replicated accounts wait"
	default:
		h.Log = "the brokers do not answer; writes to replicated accounts wait"
	}
	h.Ready = h.Directory == "" && h.Log == "" && h.Copies.NotServing == 0
	return h
}

// heldCopies are the copies that this mailstore holds, counted.
type heldCopies struct {
	copies
	by         map[class]int
	journalled int // changes that are in a journal alone
}

// class is what copies are told apart by.
type class struct{ role, state string }

// Roles and states of copies. An account without replicas is a single copy; what is not complete is of the state of its condition.
var (
	roles  = []string{"single", "primary", "replica"}
	states = []string{"live", "paused", "initialising", "catching_up", "gap", "diverged"}
)

func classOf(c *protocol.Copy) class {
	s := class{"primary", "live"}
	switch {
	case !c.IsPrimary():
		s.role = "replica"
	case c.Mode == protocol.Local:
		s.role = "single"
	}
	switch {
	case c.Condition != protocol.Complete:
		s.state = strings.ReplaceAll(c.Condition.String(), " ", "_")
	case c.IsPaused():
		s.state = "paused"
	}
	return s
}

// countCopies looks at each copy, in memory.
func (n *Node) countCopies() heldCopies {
	h := heldCopies{by: map[class]int{}}
	for _, a := range n.mailstore.All() {
		state := a.Copy()
		h.by[classOf(state)]++
		h.journalled += state.Journal
		if state.Condition != protocol.Complete {
			h.NotComplete++
		}
		if !state.IsPrimary() {
			h.Replicas++
			continue
		}
		h.Primaries++
		if a.MayServe() != nil {
			h.NotServing++
		}
	}
	return h
}
