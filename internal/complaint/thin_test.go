package complaint_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/complaint"
)

// TestThin: an hour of a client that says twenty times a second why it cannot connect is some ten lines, and none of what else there is
// to say is lost.
func TestThin(t *testing.T) {
	var out bytes.Buffer
	handler := slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	h := complaint.Thin(slog.New(handler).With("mailstore", "a")).With("part", "b").Handler()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	say := func(level slog.Level, text string, args ...any) {
		r := slog.NewRecord(at, level, text, 0)
		r.Add(args...)
		if !h.Enabled(context.Background(), level) {
			return
		}
		if err := h.Handle(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	const times = 3600 * 20
	for i := range times {
		say(slog.LevelWarn, "cannot connect", "try", i)
		at = at.Add(50 * time.Millisecond)
	}
	told := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(told) > 12 || told[0] != `level=WARN msg="cannot connect" mailstore=a part=b try=0` || told[1] != `level=WARN msg="cannot connect" mailstore=a part=b try=200 leftOut=199` {
		t.Errorf("%d lines: %s", len(told), out.String())
	}
	out.Reset()
	say(slog.LevelError, "something else")
	for i := range 3 {
		say(slog.LevelInfo, fmt.Sprint("information ", i))
		say(slog.LevelInfo, "information")
	}
	at = at.Add(time.Hour)
	say(slog.LevelWarn, "cannot connect") // with those that were left out before it was quiet
	at = at.Add(time.Hour)
	for range 3 {
		say(slog.LevelWarn, "cannot connect") // news, told once
	}
	at = at.Add(10 * time.Second)
	say(slog.LevelWarn, "cannot connect")
	if got := strings.Count(out.String(), "\n"); got != 1+6+3 {
		t.Errorf("%d lines: %s", got, out.String())
	}
}
