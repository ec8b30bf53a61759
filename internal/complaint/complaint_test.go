package complaint_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mailreplica/internal/complaint"
	"mailreplica/internal/fault"
)

// TestLessAndLessOften: an hour of something that fails twice a second is some ten lines, and one when it is over.
func TestLessAndLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		begun := time.Now()
		var at []time.Duration
		c := complaint.New(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					at = append(at, time.Since(begun))
					return slog.Attr{}
				}
				return a
			}})))
		c.Over("it works again")
		why := fault.New(fault.LogUnavailable, "they are away").WithHint("start them")
		for time.Since(begun) < time.Hour {
			c.Say("the brokers do not answer", why, "cluster", "c")
			time.Sleep(500 * time.Millisecond)
		}
		c.Over("the brokers answer again", "cluster", "c")
		c.Over("the brokers answer again", "cluster", "c")
		c.Say("the brokers do not answer", why)
		want := []time.Duration{0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030, 3600, 3600}
		if len(at) != len(want) {
			t.Fatalf("told at %v", at)
		}
		for i := range at {
			if at[i] != want[i]*time.Second {
				t.Errorf("line %d came after %s, want %s", i, at[i], want[i]*time.Second)
			}
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		for i, want := range map[int]string{
			0:  `level=ERROR msg="the brokers do not answer" cluster=c error="they are away" hint="start them"`,
			1:  `level=ERROR msg="the brokers do not answer" cluster=c error="they are away" hint="start them" for=10s`,
			11: `level=INFO msg="the brokers answer again" cluster=c after=1h0m0s`,
			12: `level=ERROR msg="the brokers do not answer" error="they are away" hint="start them"`,
		} {
			if lines[i] != want {
				t.Errorf("line %d is %s\nwant %s", i, lines[i], want)
			}
		}
	})
}
