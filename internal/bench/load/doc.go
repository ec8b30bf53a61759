// Package load is the outside load generator of the benchmarks: it speaks LMTP and IMAP to whatever listens, and measures what a
// client of that server would. It shares the machine with the servers, so it works on raw sockets, keeps what it sends ready, and
// allocates little.
//
// It must not know any of the systems that are measured: all of them get the same messages and commands from it.
package load

// Account is somebody to deliver to and log in as.
type Account struct {
	Address  string // of deliveries
	Login    string // of sessions
	Password string
}
