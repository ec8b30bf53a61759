package replica_test

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"mailreplica/internal/eventlog"
	"mailreplica/internal/replica"
)

// lines is a log that many goroutines write.
type lines struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.out.String(), text)
}

// TestSilentBrokersAreToldOnce: brokers that are away are tried again all the time, which is not told all the time.
func TestSilentBrokersAreToldOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var log lines
	agent := replica.NewAgent(nil, nil, slog.New(slog.NewTextHandler(&log, nil)))
	agent.Connect(eventlog.Config{Brokers: []string{l.Addr().String()}, Topic: "events", Streams: 1, Replication: 1})
	defer agent.Close()
	for range 60 { // attempts to connect: of several sessions
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	const text = "the event log cannot be used"
	if got := log.count(text); got < 1 || got > 5 { // the second after ten seconds, the fifth after two and a half minutes
		t.Errorf("it is told %d times", got)
	}
}
