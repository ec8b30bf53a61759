package eventlog

import (
	"context"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// contact keeps when brokers last answered and last failed to. It is a hook of every client of a Log.
type contact struct {
	begun        time.Time // from which the others are counted: the machine's clock may be set meanwhile
	answeredNano atomic.Int64
	failedNano   atomic.Int64
}

func newContact() *contact { return &contact{begun: time.Now()} }

// nano is now, and never 0.
func (c *contact) nano() int64 { return max(1, time.Since(c.begun).Nanoseconds()) }

var (
	_ kgo.HookBrokerConnect = (*contact)(nil)
	_ kgo.HookBrokerE2E     = (*contact)(nil)
)

// OnBrokerConnect notes a connection that could not be made. One that was made proves nothing yet: a stopped process
// still accepts.
func (c *contact) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		c.failedNano.Store(c.nano())
	}
}

// OnBrokerE2E notes the end of a request.
func (c *contact) OnBrokerE2E(_ kgo.BrokerMetadata, _ int16, e2e kgo.BrokerE2E) {
	if e2e.Err() != nil {
		c.failedNano.Store(c.nano())
		return
	}
	c.answeredNano.Store(c.nano())
}

// Reachable says whether the last thing heard of the brokers was an answer. A reader makes it current within a second
// of their going and coming; without a reader it speaks of the last request.
func (l *Log) Reachable() bool {
	return l.contact.answeredNano.Load() > l.contact.failedNano.Load()
}

// LastContact is when a broker last answered; zero if none ever did. How long ago that is does not depend on the machine's clock.
func (l *Log) LastContact() time.Time {
	nano := l.contact.answeredNano.Load()
	if nano == 0 {
		return time.Time{}
	}
	return l.contact.begun.Add(time.Duration(nano))
}

// clientLogger carries the client's log lines to slog.
type clientLogger struct{ logger *slog.Logger }

func (l clientLogger) Level() kgo.LogLevel {
	for _, level := range []struct {
		slog slog.Level
		kgo  kgo.LogLevel
	}{
		{slog.LevelDebug, kgo.LogLevelDebug},
		{slog.LevelInfo, kgo.LogLevelInfo},
		{slog.LevelWarn, kgo.LogLevelWarn},
		{slog.LevelError, kgo.LogLevelError},
	} {
		if l.logger.Enabled(context.Background(), level.slog) {
			return level.kgo
		}
	}
	return kgo.LogLevelNone
}

func (l clientLogger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	to := slog.LevelDebug
	switch level {
	case kgo.LogLevelError:
		to = slog.LevelError
	case kgo.LogLevelWarn:
		to = slog.LevelWarn
	case kgo.LogLevelInfo:
		to = slog.LevelDebug // what the client calls information is of no use to an operator
	}
	l.logger.Log(context.Background(), to, "event log client: "+msg, keyvals...)
}
