// Package sqlite is a connection to an SQLite database without database/sql: statements that stay prepared, parameters and columns
// that have a type. It is what the mailstore's rows cost least by (docs/decisions/0026-sqlite-without-database-sql.md). The engine
// beneath is SQLite translated to Go, as modernc.org/sqlite has it.
//
// It knows neither tables nor what an error means to a mailstore. One goroutine at a time uses a connection and its statements.
package sqlite

import (
	"fmt"
	"unsafe"

	"modernc.org/libc"
	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// Error is what the engine refused. Code is its extended result code.
type Error struct {
	Code    int
	message string
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%d)", e.message, e.Code) }

// Conn is one connection.
type Conn struct {
	tls *libc.TLS // the engine's stack: a connection has its own, whichever goroutine uses it
	db  uintptr

	gather *gather // nil: the engine writes as it does
}

// Open opens the database in a file, which is made if it is missing.
func Open(path string) (*Conn, error) {
	// Every distribution's SQLite syncs by fdatasync where there is one: it spares the disk what only says when the file was
	// written. Where there is none the engine goes on with fsync.
	_, _ = driver.Fdatasync(true)
	c := &Conn{tls: libc.NewTLS()}
	name, err := c.text(path)
	if err != nil {
		c.tls.Close()
		return nil, err
	}
	defer libc.Xfree(c.tls, name)
	handle := c.tls.Alloc(int(unsafe.Sizeof(uintptr(0))))
	defer c.tls.Free(int(unsafe.Sizeof(uintptr(0))))
	// No mutex of the engine's: nobody uses the connection meanwhile.
	const flags = lib.SQLITE_OPEN_READWRITE | lib.SQLITE_OPEN_CREATE | lib.SQLITE_OPEN_NOMUTEX
	rc := lib.Xsqlite3_open_v2(c.tls, name, handle, flags, 0)
	c.db = *at[uintptr](handle)
	if rc != lib.SQLITE_OK {
		err := c.failed(rc)
		_ = lib.Xsqlite3_close(c.tls, c.db) // of nothing, if there was no memory for it
		c.tls.Close()
		return nil, err
	}
	_ = lib.Xsqlite3_extended_result_codes(c.tls, c.db, 1) // never fails
	c.refuseQuotedStrings()
	return c, nil
}

// refuseQuotedStrings has a misspelt column be an error, and not a string.
func (c *Conn) refuseQuotedStrings() {
	args := libc.NewVaList(int32(0), uintptr(0))
	defer libc.Xfree(c.tls, args)
	_ = lib.Xsqlite3_db_config(c.tls, c.db, lib.SQLITE_DBCONFIG_DQS_DDL, args)
	_ = lib.Xsqlite3_db_config(c.tls, c.db, lib.SQLITE_DBCONFIG_DQS_DML, args)
}

// Close ends the connection and all its statements. A transaction that it holds is undone.
func (c *Conn) Close() error {
	if c.db == 0 {
		return nil
	}
	for s := lib.Xsqlite3_next_stmt(c.tls, c.db, 0); s != 0; s = lib.Xsqlite3_next_stmt(c.tls, c.db, 0) {
		_ = lib.Xsqlite3_finalize(c.tls, s) // says how its last step ended
	}
	if rc := lib.Xsqlite3_close(c.tls, c.db); rc != lib.SQLITE_OK {
		return c.failed(rc)
	}
	if c.gather != nil {
		libc.Xfree(c.tls, c.gather.memory)
	}
	c.tls.Close()
	c.db = 0
	return nil
}

// Script runs statements, as they are, to their end.
func (c *Conn) Script(text string) error {
	p, err := c.text(text)
	if err != nil {
		return err
	}
	defer libc.Xfree(c.tls, p)
	return c.failed(lib.Xsqlite3_exec(c.tls, c.db, p, 0, 0, 0))
}

// Changes is how many rows the last statement changed that changed rows.
func (c *Conn) Changes() int64 { return lib.Xsqlite3_changes64(c.tls, c.db) }

// failed is the error of a result code.
func (c *Conn) failed(rc int32) error {
	if rc == lib.SQLITE_OK {
		return nil
	}
	message := libc.GoString(lib.Xsqlite3_errstr(c.tls, rc))
	if c.db != 0 && lib.Xsqlite3_extended_errcode(c.tls, c.db) == rc {
		message = libc.GoString(lib.Xsqlite3_errmsg(c.tls, c.db))
	}
	return &Error{int(rc), message}
}

// text is a string as the engine wants it; it must be freed.
func (c *Conn) text(s string) (uintptr, error) {
	p, err := libc.CString(s)
	if err != nil {
		return 0, &Error{lib.SQLITE_NOMEM, err.Error()}
	}
	return p, nil
}

// at is what lies at an address of the engine's memory, which the garbage collector has nothing to do with.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// bytesAt are bytes of the engine's memory.
func bytesAt(address uintptr, n int) []byte { return unsafe.Slice(at[byte](address), n) }

// Stmt is a prepared statement. It is bound, stepped through and reset, again and again.
type Stmt struct {
	c      *Conn
	s      uintptr
	params int
	memory uintptr // of the values that are bound, until the statement is reset
	size   int
	used   int
	rc     int32 // the first failure to bind
}

// keptBytes of memory for values a statement keeps when it was reset.
const keptBytes = 64 << 10

// Prepare prepares one statement, which Close must follow.
func (c *Conn) Prepare(code string) (*Stmt, error) {
	p, err := c.text(code)
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(c.tls, p)
	const word = int(unsafe.Sizeof(uintptr(0)))
	out := c.tls.Alloc(2 * word)
	defer c.tls.Free(2 * word)
	rc := lib.Xsqlite3_prepare_v3(c.tls, c.db, p, -1, lib.SQLITE_PREPARE_PERSISTENT, out, out+uintptr(word))
	if rc != lib.SQLITE_OK {
		return nil, c.failed(rc)
	}
	s := &Stmt{c: c, s: *at[uintptr](out)}
	if rest := *at[uintptr](out + uintptr(word)); s.s == 0 || *at[byte](rest) != 0 {
		_ = lib.Xsqlite3_finalize(c.tls, s.s)
		return nil, &Error{lib.SQLITE_MISUSE, "not one statement: " + code}
	}
	s.params = int(lib.Xsqlite3_bind_parameter_count(c.tls, s.s))
	return s, nil
}

// Params is how many parameters the statement has.
func (s *Stmt) Params() int { return s.params }

// Reserve makes room for the values that are bound next, so many bytes in all. It comes before the first of them.
func (s *Stmt) Reserve(bytes int) {
	s.used = 0
	if bytes <= s.size {
		return
	}
	s.free()
	if s.memory = libc.Xmalloc(s.c.tls, libc.Tsize_t(bytes)); s.memory == 0 {
		s.rc = lib.SQLITE_NOMEM
		return
	}
	s.size = bytes
}

func (s *Stmt) free() {
	if s.memory != 0 {
		libc.Xfree(s.c.tls, s.memory)
		s.memory, s.size = 0, 0
	}
}

// BindInt64 binds a number to the n-th parameter, from 1. A failure shows in the next step.
func (s *Stmt) BindInt64(n int, v int64) {
	if rc := lib.Xsqlite3_bind_int64(s.c.tls, s.s, int32(n), v); rc != lib.SQLITE_OK && s.rc == lib.SQLITE_OK {
		s.rc = rc
	}
}

// BindBlob binds bytes, which are copied to where Reserve made room.
func (s *Stmt) BindBlob(n int, b []byte) {
	var rc int32
	switch p := s.memory + uintptr(s.used); {
	case len(b) == 0:
		rc = lib.Xsqlite3_bind_zeroblob(s.c.tls, s.s, int32(n), 0)
	case len(b) > s.size-s.used:
		rc = lib.SQLITE_NOMEM
	default:
		copy(bytesAt(p, len(b)), b)
		s.used += len(b)
		rc = lib.Xsqlite3_bind_blob64(s.c.tls, s.s, int32(n), p, lib.Tsqlite3_uint64(len(b)), lib.SQLITE_STATIC)
	}
	if rc != lib.SQLITE_OK && s.rc == lib.SQLITE_OK {
		s.rc = rc
	}
}

// Step goes to the next row, and says whether there is one. After an error, and after the last row, the statement must be reset.
func (s *Stmt) Step() (bool, error) {
	if s.rc != lib.SQLITE_OK {
		return false, s.c.failed(s.rc)
	}
	switch rc := lib.Xsqlite3_step(s.c.tls, s.s); rc {
	case lib.SQLITE_ROW:
		return true, nil
	case lib.SQLITE_DONE:
		return false, nil
	default:
		return false, s.c.failed(rc)
	}
}

// Reset makes the statement ready for other values. It ends the reading of its rows.
func (s *Stmt) Reset() {
	_ = lib.Xsqlite3_reset(s.c.tls, s.s) // says how the last step ended, which is known
	s.rc = lib.SQLITE_OK
	if s.size > keptBytes {
		s.unbind()
		s.free()
	}
}

// unbind has the engine forget where the values are.
func (s *Stmt) unbind() { _ = lib.Xsqlite3_clear_bindings(s.c.tls, s.s) }

// Close ends the statement.
func (s *Stmt) Close() {
	_ = lib.Xsqlite3_finalize(s.c.tls, s.s)
	s.free()
	s.s = 0
}

// Columns is how many columns a row has.
func (s *Stmt) Columns() int { return int(lib.Xsqlite3_column_count(s.c.tls, s.s)) }

// IsNull reports whether a column of the row has no value. Columns are counted from 0.
func (s *Stmt) IsNull(column int) bool {
	return lib.Xsqlite3_column_type(s.c.tls, s.s, int32(column)) == lib.SQLITE_NULL
}

// Int64 is a column that is a number.
func (s *Stmt) Int64(column int) int64 {
	return lib.Xsqlite3_column_int64(s.c.tls, s.s, int32(column))
}

// Bytes are a column's bytes, or the letters of its text. They are the engine's own, until the next step.
func (s *Stmt) Bytes(column int) []byte {
	p := lib.Xsqlite3_column_blob(s.c.tls, s.s, int32(column))
	if p == 0 {
		return nil
	}
	return bytesAt(p, int(lib.Xsqlite3_column_bytes(s.c.tls, s.s, int32(column))))
}
