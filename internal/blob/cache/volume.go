package cache

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"

	"mailreplica/internal/blob"
	"mailreplica/internal/fault"
)

// wholeBytes is the size up to which a blob is fetched whole when it is opened. A larger one is kept if someone reads it from
// its beginning to its end: often only its first lines are asked for.
const wholeBytes = 1 << 20

// volume is a volume behind a cache.
type volume struct {
	cache *Cache
	under blob.Volume
	hash  [volumeBytes]byte
}

// flight is the fetching of one blob, by one of those who asked for it.
type flight struct {
	done chan struct{} // closed when it is known what comes of it
	err  error         // why the blob cannot be opened
	dead bool          // it was removed meanwhile; under Cache.mu
}

// Wrap puts the cache before a volume. A blob that another mailstore removed may be read for as long as it is kept: its bytes
// are what they were, for a name is never used again.
func (c *Cache) Wrap(under blob.Volume) blob.Volume {
	return &volume{cache: c, under: under, hash: volumeHash(under.ID())}
}

// ID implements blob.Volume.
func (v *volume) ID() string { return v.under.ID() }

// List implements blob.Volume.
func (v *volume) List(ctx context.Context, after string, fn func(blob.Info) error) error {
	return v.under.List(ctx, after, fn)
}

// Remove implements blob.Volume.
func (v *volume) Remove(ctx context.Context, name string) error {
	if err := blob.CheckName(name); err != nil {
		return err
	}
	err := v.under.Remove(ctx, name)
	v.cache.forget(makeKey(v.hash, name)) // whoever began to fetch it before may have its bytes, and must not keep them
	return err
}

// Create implements blob.Volume. What is written is kept: new mail is read soon.
func (v *volume) Create(ctx context.Context) (blob.Writer, error) {
	w, err := v.under.Create(ctx)
	if err != nil {
		return nil, err
	}
	return &writer{volume: v, under: w, file: v.cache.newFile()}, nil
}

type writer struct {
	volume *volume
	under  blob.Writer
	file   *newFile
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	n, err := w.under.Write(p)
	w.file.write(p[:n])
	return n, err
}

// Commit implements blob.Writer.
func (w *writer) Commit(ctx context.Context) (string, int64, error) {
	name, size, err := w.under.Commit(ctx)
	if err != nil || size != w.file.size {
		w.file.discard()
		return name, size, err
	}
	w.file.publish(makeKey(w.volume.hash, name), nil)
	return name, size, nil
}

// Abort implements blob.Writer.
func (w *writer) Abort() {
	w.under.Abort()
	w.file.discard()
}

// Open implements blob.Volume.
func (v *volume) Open(ctx context.Context, name string) (blob.Blob, error) {
	if err := blob.CheckName(name); err != nil {
		return nil, err
	}
	k := makeKey(v.hash, name)
	for {
		if ctx.Err() != nil {
			return nil, interrupted(ctx, v)
		}
		if b := v.kept(ctx, name, k); b != nil {
			return b, nil
		}
		f, first := v.cache.join(k)
		if first {
			v.cache.count(func(s *Stats) { s.Misses++ })
			return v.fetch(ctx, name, k, f)
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, interrupted(ctx, v)
		}
		switch {
		case f.err != nil && !fault.Is(f.err, fault.Interrupted):
			return nil, f.err
		case f.err == nil && !v.cache.use(k): // it could not be kept, or not yet
			v.cache.count(func(s *Stats) { s.Misses++ })
			return v.under.Open(ctx, name)
		}
	}
}

func interrupted(ctx context.Context, v *volume) error {
	return fault.Wrap(fault.Interrupted, ctx.Err(), "volume %s: interrupted", v.under.ID())
}

// kept opens a blob that is in the cache; nil if it is not, or not whole.
func (v *volume) kept(ctx context.Context, name string, k key) blob.Blob {
	if !v.cache.use(k) {
		return nil
	}
	file, size, sums, err := v.cache.openFile(k)
	if err != nil {
		v.damaged(k, err)
		return nil
	}
	v.cache.count(func(s *Stats) { s.Hits++ })
	return &keptBlob{volume: v, name: name, key: k, ctx: context.WithoutCancel(ctx), file: file, size: size, sums: sums}
}

// damaged drops a file that is not what was written. One that is gone was removed to make room.
func (v *volume) damaged(k key, err error) {
	if !errors.Is(err, fs.ErrNotExist) {
		v.cache.count(func(s *Stats) { s.Damaged++ })
		v.cache.log.Warn("a file of the blob cache is damaged, and is fetched anew", "folder", v.cache.folder, "file", k.fileName(), "error", err)
	}
	v.cache.mu.Lock()
	v.cache.remove(k)
	v.cache.mu.Unlock()
}

// join gives the flight that fetches a blob, and true to the one who must do so.
func (c *Cache) join(k key) (*flight, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.flights[k]; ok {
		return f, false
	}
	f := &flight{done: make(chan struct{})}
	c.flights[k] = f
	return f, true
}

// land ends a flight: whoever asks from now on begins anew.
func (c *Cache) land(k key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, k)
}

// fetch opens a blob on the volume, and keeps it if it is small or is read to its end.
func (v *volume) fetch(ctx context.Context, name string, k key, f *flight) (blob.Blob, error) {
	b, err := v.under.Open(ctx, name)
	if err != nil {
		f.err = err
		v.cache.land(k)
		close(f.done)
		return nil, err
	}
	t := &fetchedBlob{Blob: b, volume: v, key: k, flight: f, file: v.cache.newFile()}
	if b.Size() > wholeBytes {
		close(f.done) // others read from the volume meanwhile
		return t, nil
	}
	var piece [16 << 10]byte
	for t.next < b.Size() && !t.file.over {
		if n, err := t.ReadAt(piece[:min(int64(len(piece)), b.Size()-t.next)], t.next); n == 0 && err != nil {
			break // the caller will meet it too
		}
	}
	t.end(t.next == b.Size())
	close(f.done)
	return b, nil
}

// fetchedBlob is a blob of the volume whose bytes are kept as they are read in order.
type fetchedBlob struct {
	blob.Blob
	volume *volume
	key    key
	flight *flight

	mu     sync.Mutex
	file   *newFile
	next   int64 // what the file lacks begins here
	landed bool
}

// ReadAt implements io.ReaderAt.
func (t *fetchedBlob) ReadAt(p []byte, offset int64) (int, error) {
	n, err := t.Blob.ReadAt(p, offset)
	t.mu.Lock()
	defer t.mu.Unlock()
	if end := offset + int64(n); offset <= t.next && end > t.next && !t.landed {
		t.file.write(p[t.next-offset : n])
		t.next = end
		if end == t.Size() && end > wholeBytes {
			t.finish(true)
		}
	}
	return n, err
}

// Close implements blob.Blob.
func (t *fetchedBlob) Close() error {
	t.end(false)
	return t.Blob.Close()
}

func (t *fetchedBlob) end(whole bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.finish(whole)
}

// finish keeps what was fetched, or gives it up; t.mu is held.
func (t *fetchedBlob) finish(whole bool) {
	if t.landed {
		return
	}
	t.landed = true
	if whole {
		t.file.publish(t.key, t.flight)
	} else {
		t.file.discard()
	}
	t.volume.cache.land(t.key)
}

// keptBlob is a file of the cache. If it turns out to be damaged, the volume is read instead.
type keptBlob struct {
	volume *volume
	name   string
	key    key
	ctx    context.Context
	size   int64
	sums   []byte

	mu    sync.Mutex
	file  fileReader
	block []byte // the one that was read last
	index int64
	away  blob.Blob // of the volume, once the file was found to be damaged
}

type fileReader interface {
	io.ReaderAt
	io.Closer
}

// Size implements blob.Blob.
func (b *keptBlob) Size() int64 { return b.size }

// Close implements blob.Blob.
func (b *keptBlob) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away != nil {
		return b.away.Close()
	}
	return b.file.Close()
}

// ReadAt implements io.ReaderAt.
func (b *keptBlob) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, fault.New(fault.Internal, "read of a blob before its beginning")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for n < len(p) && b.away == nil {
		at := offset + int64(n)
		if at >= b.size {
			return n, io.EOF
		}
		if err := b.load(at / blockBytes); err != nil {
			b.volume.damaged(b.key, err)
			if err := b.turn(); err != nil {
				return n, err
			}
			break
		}
		n += copy(p[n:], b.block[at%blockBytes:])
	}
	if n < len(p) {
		rest, err := b.away.ReadAt(p[n:], offset+int64(n))
		return n + rest, err
	}
	return n, nil
}

// load reads a block and compares its sum.
func (b *keptBlob) load(index int64) error {
	if b.block != nil && b.index == index {
		return nil
	}
	length := min(blockBytes, b.size-index*blockBytes)
	if int64(cap(b.block)) < length {
		b.block = make([]byte, length)
	}
	b.block = b.block[:length]
	b.index = index
	if _, err := b.file.ReadAt(b.block, index*blockBytes); err != nil {
		b.block = nil
		return err
	}
	if !sumMatches(b.block, b.sums[4*index:]) {
		b.block = nil
		return errDamaged
	}
	return nil
}

// turn goes over to the volume.
func (b *keptBlob) turn() error {
	away, err := b.volume.under.Open(b.ctx, b.name)
	if err != nil {
		return err
	}
	if away.Size() != b.size {
		_ = away.Close()
		return fault.New(fault.VolumeUnavailable, "volume %s: a blob had %d bytes and has %d", b.volume.under.ID(), b.size, away.Size())
	}
	_ = b.file.Close()
	b.away = away
	return nil
}
