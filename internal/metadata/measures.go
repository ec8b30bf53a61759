package metadata

import (
	"os"
	"path/filepath"
	"sync/atomic"

	"mailreplica/internal/measure"
)

// Measures are what a store counts.
type Measures struct {
	Commits     measure.Durations // one a transaction that was committed
	Updates     atomic.Uint64     // that were committed; many share a transaction
	Failed      atomic.Uint64     // Updates that the database did not take
	Checkpoints measure.Durations // of the write-ahead log, by SQLite
}

// Measures are counted on while the store is used.
func (s *Store) Measures() *Measures { return &s.measures }

// Writable reports whether the store takes Updates, as far as is known: the database can be reached, and no fsync has failed.
func (s *Store) Writable() bool { return s.failed.Load() == nil && !s.away.Load() }

// Sizes of a database that is a file, in bytes.
type Sizes struct{ Database, WAL int64 }

// Sizes gives how large the database is; known is false for one on a server. It asks the filesystem, and not the database.
func (s *Store) Sizes() (sizes Sizes, known bool) {
	d, is := s.dialect.(*sqlite)
	if !is {
		return Sizes{}, false
	}
	info, err := os.Stat(filepath.Join(d.dir, databaseName))
	if err != nil {
		return Sizes{}, false
	}
	return Sizes{Database: info.Size(), WAL: s.wal.held.Load() * pageBytes}, true
}
