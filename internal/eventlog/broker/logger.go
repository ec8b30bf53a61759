package broker

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"

	"mailreplica/internal/fault"
)

// clusterLogger carries kfake's log lines to slog, and ends the broker when it cannot write.
type clusterLogger struct{ broker *Broker }

// Logf is called by the cluster's only goroutine.
//
// When kfake cannot write a batch it answers with an error, but has advanced the producer's sequence already: the
// producer's retry would look like a repeat and be confirmed, though nothing was written. So the goroutine is held
// here, before that answer is given, and the process ends. After a restart the retry is taken as new.
func (l clusterLogger) Logf(level kfake.LogLevel, format string, args ...any) {
	to := slog.LevelDebug
	switch level {
	case kfake.LogLevelError:
		to = slog.LevelError
	case kfake.LogLevelWarn:
		to = slog.LevelWarn
	}
	logger := l.broker.config.Logger
	if logger.Enabled(context.Background(), to) {
		logger.Log(context.Background(), to, "broker: "+fmt.Sprintf(format, args...))
	}
	if strings.HasPrefix(format, "persist batch") {
		l.broker.fail(fault.New(fault.DatabaseUnavailable, "the broker cannot write to %s", l.broker.config.DataDir).
			WithHint("check free disk space, then start the broker again"))
		select {}
	}
}
