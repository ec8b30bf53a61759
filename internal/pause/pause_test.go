package pause_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"mailreplica/internal/pause"
)

func TestFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		if err := pause.For(t.Context(), time.Hour); err != nil || time.Since(begun) != time.Hour {
			t.Errorf("got %v after %s", err, time.Since(begun))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := pause.For(ctx, time.Hour); err != context.DeadlineExceeded || time.Since(begun) != time.Hour+time.Minute {
			t.Errorf("got %v after %s", err, time.Since(begun))
		}
	})
}
