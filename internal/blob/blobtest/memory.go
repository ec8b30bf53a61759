package blobtest

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/blob"
	"mailreplica/internal/fault"
)

// Memory is a volume in memory, for tests of what stands before a volume. It keeps the contract.
type Memory struct {
	id string

	mu    sync.Mutex
	blobs map[string]memoryBlob
}

type memoryBlob struct {
	content []byte
	at      time.Time
}

// NewMemory makes an empty volume.
func NewMemory(id string) *Memory { return &Memory{id: id, blobs: map[string]memoryBlob{}} }

// Place gives the volume as a place where it lies: opened again, it is the same.
func (m *Memory) Place() Place { return memoryPlace{m} }

type memoryPlace struct{ m *Memory }

func (p memoryPlace) Open(testing.TB) blob.Volume { return p.m }

// ID implements blob.Volume.
func (m *Memory) ID() string { return m.id }

func (m *Memory) check(ctx context.Context, name string) error {
	if err := blob.CheckName(name); err != nil {
		return err
	}
	return m.alive(ctx)
}

func (m *Memory) alive(ctx context.Context) error {
	if ctx.Err() != nil {
		return fault.Wrap(fault.Interrupted, ctx.Err(), "volume %s: interrupted", m.id)
	}
	return nil
}

// Create implements blob.Volume.
func (m *Memory) Create(ctx context.Context) (blob.Writer, error) {
	if err := m.alive(ctx); err != nil {
		return nil, err
	}
	return &memoryWriter{memory: m}, nil
}

// Open implements blob.Volume.
func (m *Memory) Open(ctx context.Context, name string) (blob.Blob, error) {
	if err := m.check(ctx, name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.blobs[name]
	if !ok {
		return nil, fault.New(fault.NotFound, "volume %s has no such blob", m.id)
	}
	return memoryReader{bytes.NewReader(b.content)}, nil
}

// Remove implements blob.Volume.
func (m *Memory) Remove(ctx context.Context, name string) error {
	if err := m.check(ctx, name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.blobs, name)
	return nil
}

// List implements blob.Volume.
func (m *Memory) List(ctx context.Context, after string, fn func(blob.Info) error) error {
	var found []blob.Info
	m.mu.Lock()
	for name, b := range m.blobs {
		if name > after {
			found = append(found, blob.Info{Name: name, Size: int64(len(b.content)), Modified: b.at})
		}
	}
	m.mu.Unlock()
	slices.SortFunc(found, func(a, b blob.Info) int { return strings.Compare(a.Name, b.Name) })
	for _, info := range found {
		if err := m.alive(ctx); err != nil {
			return err
		}
		if err := fn(info); err != nil {
			return err
		}
	}
	return m.alive(ctx)
}

type memoryReader struct{ *bytes.Reader }

func (memoryReader) Close() error { return nil }

type memoryWriter struct {
	memory *Memory
	buffer bytes.Buffer
	ended  bool
}

func (w *memoryWriter) Write(p []byte) (int, error) {
	if w.ended {
		return 0, fault.New(fault.Internal, "write to a blob after its end")
	}
	return w.buffer.Write(p)
}

func (w *memoryWriter) Commit(ctx context.Context) (string, int64, error) {
	if w.ended {
		return "", 0, fault.New(fault.Internal, "commit of a blob after its end")
	}
	w.ended = true
	if err := w.memory.alive(ctx); err != nil {
		return "", 0, err
	}
	name := blob.NewName()
	w.memory.mu.Lock()
	defer w.memory.mu.Unlock()
	w.memory.blobs[name] = memoryBlob{w.buffer.Bytes(), time.Now()}
	return name, int64(w.buffer.Len()), nil
}

func (w *memoryWriter) Abort() { w.ended = true }
