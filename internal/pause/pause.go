// Package pause waits, for as long as somebody wants to.
package pause

import (
	"context"
	"time"
)

// For waits, and ends early with the context, whose error it gives.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
