package sim

import (
	"context"
	"sync"
	"time"

	"mailreplica/internal/blob"
	"mailreplica/internal/fault"
	"mailreplica/internal/pause"
)

// volumeFaults is how a mailstore reaches the volume now.
type volumeFaults struct {
	mu      sync.Mutex
	failing bool
	slow    time.Duration
}

func (f *volumeFaults) set(failing bool, slow time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failing, f.slow = failing, slow
}

// volume is the shared volume as one life of a mailstore reaches it.
type volume struct {
	blob.Volume
	life   *life
	faults *volumeFaults
}

// pass waits and fails as it is to be.
func (v *volume) pass(ctx context.Context) error {
	v.faults.mu.Lock()
	failing, slow := v.faults.failing, v.faults.slow
	v.faults.mu.Unlock()
	if slow > 0 {
		if err := pause.For(ctx, slow); err != nil {
			return fault.Wrap(fault.Interrupted, err, "interrupted")
		}
	}
	if failing || v.life.dead.Load() {
		return fault.New(fault.VolumeUnavailable, "the simulated volume does not answer")
	}
	return nil
}

// Create implements blob.Volume.
func (v *volume) Create(ctx context.Context) (blob.Writer, error) {
	if err := v.pass(ctx); err != nil {
		return nil, err
	}
	w, err := v.Volume.Create(ctx)
	if err != nil {
		return nil, err
	}
	return &writer{Writer: w, volume: v}, nil
}

// Open implements blob.Volume.
func (v *volume) Open(ctx context.Context, name string) (blob.Blob, error) {
	if err := v.pass(ctx); err != nil {
		return nil, err
	}
	return v.Volume.Open(ctx, name)
}

// Remove implements blob.Volume.
func (v *volume) Remove(ctx context.Context, name string) error {
	if err := v.pass(ctx); err != nil {
		return err
	}
	return v.Volume.Remove(ctx, name)
}

// List implements blob.Volume.
func (v *volume) List(ctx context.Context, after string, fn func(blob.Info) error) error {
	if err := v.pass(ctx); err != nil {
		return err
	}
	return v.Volume.List(ctx, after, fn)
}

// writer writes a blob, and finds out which mail it is: a frontend that stores a body tells nobody its name.
type writer struct {
	blob.Writer
	volume *volume
	head   []byte
}

const headBytesMax = 1 << 10 // that tell the mail

// Write implements blob.Writer.
func (w *writer) Write(b []byte) (int, error) {
	w.head = append(w.head, b[:min(len(b), headBytesMax-len(w.head))]...)
	return w.Writer.Write(b)
}

// Commit implements blob.Writer. An answer can be lost after the work was done.
func (w *writer) Commit(ctx context.Context) (string, int64, error) {
	if err := w.volume.pass(ctx); err != nil {
		w.Abort()
		return "", 0, err
	}
	name, size, err := w.Writer.Commit(ctx)
	if err != nil {
		return "", 0, err
	}
	if number := numberOf(w.head); number > 0 {
		w.volume.life.store.cluster.history.Body(name, number)
	}
	return name, size, w.volume.pass(ctx)
}
