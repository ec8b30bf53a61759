// Package blob owns the port to volumes: where message bodies lie, on a directory or in a bucket that every mailstore
// reaches.
//
// It must not know what a blob holds, which item refers to it, or when it may be removed: that is decided by events.
package blob

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"time"

	"mailreplica/internal/fault"
)

// Ref names a blob on a volume. It travels in events, so it means the same on every mailstore.
type Ref struct {
	Volume string
	Name   string
}

// Volume keeps blobs. A blob is written once, and never changed.
//
// Names are made by the volume: 128 bits, of which at least 96 are random, so that no two mailstores ever make the same one, and the
// same content written twice has two names. A name is never used again, after Remove neither.
//
// Errors carry a fault kind. VolumeUnavailable: the volume did not answer, is full, refuses, or is not the volume that
// was opened (a directory that is not mounted); the caller may try again later. NotFound: the volume answered, and has
// no such blob. TooLarge: the volume does not take blobs of that size. Invalid: the name is none that a volume makes.
// Interrupted: the context ended. An implementation tries again by itself only where that cannot take longer than a
// few seconds; it never waits for ever while the context lives.
//
// All methods are safe for concurrent use, by several processes on several machines too. A Writer belongs to one
// goroutine, a Blob's ReadAt may be called by several.
type Volume interface {
	// ID is the Volume of this volume's Refs.
	ID() string

	// Create begins a blob. The context bounds the writing, up to Commit. Every Writer is ended by Commit or Abort.
	Create(ctx context.Context) (Writer, error)

	// Open opens a blob for reading.
	Open(ctx context.Context, name string) (Blob, error)

	// Remove removes a blob. One that is not there is no error. A power loss may bring it back, whole or damaged.
	Remove(ctx context.Context, name string) error

	// List calls fn for every blob whose name is greater than after, in the order of names, until fn returns an error,
	// which List then returns. Blobs that come or go meanwhile may be listed or not.
	List(ctx context.Context, after string, fn func(Info) error) error
}

// Writer takes the bytes of a new blob. Nothing is visible before Commit.
type Writer interface {
	io.Writer

	// Commit makes the blob durable and visible and returns its name and size: once it has returned, the bytes survive
	// a power loss. After an error there is no blob that anyone could know of; bytes may be left behind, under a name
	// that nothing refers to. Commit ends the Writer either way.
	Commit(ctx context.Context) (name string, size int64, err error)

	// Abort ends the Writer and leaves nothing behind. After Commit it does nothing, so it can be deferred.
	Abort()
}

// Blob is an open blob. Its bytes stay readable until Close, even if it is removed meanwhile on a volume that can do
// that; otherwise reading fails with NotFound.
type Blob interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Info describes a blob in a listing.
type Info struct {
	Name     string
	Size     int64
	Modified time.Time
}

// nameBytes is the length of a name before it is written in hexadecimal.
const nameBytes = 16

// NewName makes a random name. Volumes call it.
func NewName() string {
	var random [nameBytes]byte
	rand.Read(random[:])
	return hex.EncodeToString(random[:])
}

// CheckName refuses what no volume can have made, with fault.Invalid. Volumes call it before a name becomes a path.
func CheckName(name string) error {
	if len(name) != hex.EncodedLen(nameBytes) {
		return fault.New(fault.Invalid, "%.40q is no name of a blob", name)
	}
	for _, c := range []byte(name) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fault.New(fault.Invalid, "%.40q is no name of a blob", name)
		}
	}
	return nil
}
