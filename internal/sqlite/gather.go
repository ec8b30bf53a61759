package sqlite

import (
	"encoding/binary"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// The engine writes each page of a transaction into the write-ahead log by two calls of the system, one for the frame's header and
// one for the page. gather keeps them in memory and writes them by one call, when the transaction's last frame is complete: before
// the engine tells other connections of it, and with the result that this last write has.
//
// It stands in front of the functions of two files, of one connection:
//
//   - The log's. Only frames that are appended are kept, and at most one write's worth. Whatever else is done to the log is done
//     after they were written; what is read of them is read after they were written.
//   - The database's, for its locks. When a connection gives up the right to write, what is kept is of a transaction that was undone:
//     it is dropped, for another connection may write there next.
type gather struct {
	log, locks *front

	memory uintptr // for what is kept: the engine's, as all that is given to it
	kept   int     // bytes
	offset int64   // of them, in the log
	end    int64   // of the last write
	commit bool    // what is kept ends with the header of a transaction's last frame

	pages     int64 // of the log, after the last commit
	committed func(tls *libc.TLS, arg, db, name uintptr, pages int32) int32
}

const (
	frameHeaderBytes  = 24
	frameCommitOffset = 4 // of a field in the header that is 0 unless the frame is a transaction's last
	gatheredRoom      = 128 << 10
	gatheredBytesMax  = gatheredRoom - 1 // what the engine writes by one call
)

// Functions of a file, as the engine has them.
type (
	readWrite func(tls *libc.TLS, file, data uintptr, size int32, offset int64) int32
	truncate  func(tls *libc.TLS, file uintptr, size int64) int32
	syncFile  func(tls *libc.TLS, file uintptr, flags int32) int32
	fileSize  func(tls *libc.TLS, file, size uintptr) int32
	shmLock   func(tls *libc.TLS, file uintptr, first, count, flags int32) int32
)

// front is a table of functions that was put in front of a file's own.
type front struct {
	own   lib.Tsqlite3_io_methods
	table uintptr // what the engine looks at
	keep  []any   // the functions in it, which the engine holds by their addresses
}

// putInFront puts a table in front of a file's, so far with the same functions. It is given memory for it.
func putInFront(file, memory uintptr) *front {
	methods := at[uintptr](file) // a file begins with the address of its table
	f := &front{own: *at[lib.Tsqlite3_io_methods](*methods), table: memory}
	*f.entries() = f.own
	*methods = memory
	return f
}

func (f *front) entries() *lib.Tsqlite3_io_methods { return at[lib.Tsqlite3_io_methods](f.table) }

// function is the function at an address that the engine holds.
func function[F any](address uintptr) F { return *(*F)(unsafe.Pointer(&address)) }

// replace puts a function where an entry of the table has another.
func replace[F any](f *front, entry *uintptr, fn F) {
	f.keep = append(f.keep, fn)
	*entry = *(*uintptr)(unsafe.Pointer(&fn))
}

// GatherWrites has each transaction of the connection reach the write-ahead log by one call of the system, or by one for each 31 pages
// of a larger one. The database must have such a log, which the engine does not copy into the database by itself any more.
func (c *Conn) GatherWrites() error {
	if err := c.isWriteAhead(); err != nil {
		return err
	}
	if err := c.Script("PRAGMA user_version"); err != nil { // to read anything opens the log
		return err
	}
	log, err := c.file(lib.SQLITE_FCNTL_JOURNAL_POINTER)
	if err != nil {
		return err
	}
	database, err := c.file(lib.SQLITE_FCNTL_FILE_POINTER)
	if err != nil {
		return err
	}
	const table = unsafe.Sizeof(lib.Tsqlite3_io_methods{})
	memory := libc.Xmalloc(c.tls, libc.Tsize_t(gatheredRoom+2*table))
	if memory == 0 {
		return c.failed(lib.SQLITE_NOMEM)
	}
	g := &gather{log: putInFront(log, memory+gatheredRoom), locks: putInFront(database, memory+gatheredRoom+table), memory: memory, end: -1}
	t := g.log.entries()
	replace(g.log, &t.FxWrite, readWrite(g.write))
	replace(g.log, &t.FxRead, readWrite(g.read))
	replace(g.log, &t.FxTruncate, truncate(g.truncate))
	replace(g.log, &t.FxSync, syncFile(g.sync))
	replace(g.log, &t.FxFileSize, fileSize(g.size))
	replace(g.locks, &g.locks.entries().FxShmLock, shmLock(g.lock))
	g.committed = func(_ *libc.TLS, _, _, _ uintptr, pages int32) int32 {
		g.pages = int64(pages)
		return lib.SQLITE_OK
	}
	lib.Xsqlite3_wal_hook(c.tls, c.db, *(*uintptr)(unsafe.Pointer(&g.committed)), 0)
	c.gather = g
	return nil
}

// LogPages is how many pages the write-ahead log had after the last commit of a connection that gathers writes.
func (c *Conn) LogPages() int64 { return c.gather.pages }

func (c *Conn) isWriteAhead() error {
	mode, err := c.Prepare("PRAGMA journal_mode")
	if err != nil {
		return err
	}
	defer mode.Close()
	if _, err := mode.Step(); err != nil {
		return err
	}
	if name := string(mode.Bytes(0)); name != "wal" {
		return &Error{lib.SQLITE_MISUSE, "the database has no write-ahead log: its journal is " + name}
	}
	return nil
}

// file is a file of the connection's.
func (c *Conn) file(which int32) (uintptr, error) {
	const word = int(unsafe.Sizeof(uintptr(0)))
	out := c.tls.Alloc(word)
	defer c.tls.Free(word)
	if rc := lib.Xsqlite3_file_control(c.tls, c.db, 0, which, out); rc != lib.SQLITE_OK {
		return 0, c.failed(rc)
	}
	return *at[uintptr](out), nil
}

// write keeps a frame's header that follows on the last write, and what follows on that.
func (g *gather) write(tls *libc.TLS, file, data uintptr, size int32, offset int64) int32 {
	follows, header := offset == g.end, size == frameHeaderBytes
	g.end = offset + int64(size)
	if !follows || g.kept+int(size) > gatheredBytesMax {
		if rc := g.flush(tls, file); rc != lib.SQLITE_OK {
			return rc
		}
	}
	if g.kept == 0 {
		if !follows || !header { // among them headers that are written again, when checksums have changed
			return function[readWrite](g.log.own.FxWrite)(tls, file, data, size, offset)
		}
		g.offset = offset
	}
	b, last := bytesAt(data, int(size)), g.commit
	g.kept += copy(bytesAt(g.memory+uintptr(g.kept), len(b)), b)
	if g.commit = header && binary.BigEndian.Uint32(b[frameCommitOffset:]) != 0; last {
		return g.flush(tls, file)
	}
	return lib.SQLITE_OK
}

// flush writes what is kept. What cannot be written stays: it is the transaction's still, until that has ended.
func (g *gather) flush(tls *libc.TLS, file uintptr) int32 {
	if g.kept == 0 {
		return lib.SQLITE_OK
	}
	rc := function[readWrite](g.log.own.FxWrite)(tls, file, g.memory, int32(g.kept), g.offset)
	if rc == lib.SQLITE_OK {
		g.drop()
	}
	return rc
}

func (g *gather) drop() { g.kept, g.commit = 0, false }

func (g *gather) read(tls *libc.TLS, file, data uintptr, size int32, offset int64) int32 {
	if offset < g.offset+int64(g.kept) && offset+int64(size) > g.offset {
		if rc := g.flush(tls, file); rc != lib.SQLITE_OK {
			return rc
		}
	}
	return function[readWrite](g.log.own.FxRead)(tls, file, data, size, offset)
}

func (g *gather) truncate(tls *libc.TLS, file uintptr, size int64) int32 {
	if rc := g.flush(tls, file); rc != lib.SQLITE_OK {
		return rc
	}
	return function[truncate](g.log.own.FxTruncate)(tls, file, size)
}

func (g *gather) sync(tls *libc.TLS, file uintptr, flags int32) int32 {
	if rc := g.flush(tls, file); rc != lib.SQLITE_OK {
		return rc
	}
	return function[syncFile](g.log.own.FxSync)(tls, file, flags)
}

func (g *gather) size(tls *libc.TLS, file, size uintptr) int32 {
	if rc := g.flush(tls, file); rc != lib.SQLITE_OK {
		return rc
	}
	return function[fileSize](g.log.own.FxFileSize)(tls, file, size)
}

func (g *gather) lock(tls *libc.TLS, file uintptr, first, count, flags int32) int32 {
	if first == lib.WAL_WRITE_LOCK && flags&lib.SQLITE_SHM_UNLOCK != 0 {
		g.drop()
	}
	return function[shmLock](g.locks.own.FxShmLock)(tls, file, first, count, flags)
}
