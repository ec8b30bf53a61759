package lmtp

import "mailreplica/internal/measure"

// Measures are what a server counts.
type Measures struct {
	MTAs, Mailstores ClientMeasures // by who the client is: a mail is counted at the mailstore that took it, and again at its home
}

// ClientMeasures are those of one sort of clients.
type ClientMeasures struct {
	Recipients measure.Outcomes  // of RCPT where it was refused, else of the delivery. Result tells what the client was told
	Deliveries measure.Durations // from the end of a message to its answers, all of its recipients together
}

// Measures are counted on while the server runs.
func (s *Server) Measures() *Measures { return &s.measures }

// measures are those that the session is counted with.
func (s *session) measures() *ClientMeasures {
	if s.relayed {
		return &s.server.measures.Mailstores
	}
	return &s.server.measures.MTAs
}
