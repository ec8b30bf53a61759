package sim

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"mailreplica/internal/sim/check"
)

// traceLinesMax bounds what is kept of a run.
const traceLinesMax = 200_000

// trace keeps what happened, with virtual times.
type trace struct {
	begun    time.Time
	folder   string // whose name differs from run to run
	mu       sync.Mutex
	lines    []string
	alarm    []string // lines that must not be there
	expected []string
	live     io.Writer // nil: nowhere while it runs
}

func (t *trace) add(who, format string, args ...any) {
	line := fmt.Sprintf("%10.4f %-12s %s", time.Since(t.begun).Seconds(), who, fmt.Sprintf(format, args...))
	line = strings.ReplaceAll(line, t.folder, "")
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live != nil {
		fmt.Fprintln(t.live, line)
	}
	if len(t.lines) < traceLinesMax {
		t.lines = append(t.lines, line)
	}
}

// expect says that lines are no alarms any more.
func (t *trace) expect(lines ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expected = append(t.expected, lines...)
}

func (t *trace) look(who, line string) {
	for _, a := range check.Alarms {
		if !strings.Contains(line, a) {
			continue
		}
		t.mu.Lock()
		if !slices.Contains(t.expected, a) {
			t.alarm = append(t.alarm, fmt.Sprintf("at %.4f %s says: %s", time.Since(t.begun).Seconds(), who, line))
		}
		t.mu.Unlock()
	}
}

func (t *trace) isAlarmed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.alarm) > 0
}

// text is all of it.
func (t *trace) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n") + "\n"
}

// handler brings the log of a process into the trace.
func (t *trace) handler(l *life) slog.Handler {
	return &traceHandler{trace: t, life: l, who: fmt.Sprintf("%s/%d", l.store.name[:5], l.number)}
}

type traceHandler struct {
	trace *trace
	life  *life
	who   string
	attrs []slog.Attr
}

// Enabled implements slog.Handler.
func (h *traceHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

// Handle implements slog.Handler.
func (h *traceHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", r.Level, r.Message)
	write := func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		return true
	}
	for _, a := range h.attrs {
		write(a)
	}
	r.Attrs(write)
	if text := b.String(); !strings.Contains(text, "a setting of the brokers is unsafe") {
		h.trace.add(h.who, "%s", text)
		h.trace.look(h.who, text)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (h *traceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &traceHandler{h.trace, h.life, h.who, append(append([]slog.Attr(nil), h.attrs...), attrs...)}
}

// WithGroup implements slog.Handler.
func (h *traceHandler) WithGroup(string) slog.Handler { return h }
