package disk

import (
	"fmt"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// The engine talks to its files through a VFS: a table of functions. The one below is the engine's own, with three of a file's
// functions put in front: those that write, cut and sync it.

type (
	openFunc     func(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32
	closeFunc    func(tls *libc.TLS, file uintptr) int32
	writeFunc    func(tls *libc.TLS, file, data uintptr, size int32, offset int64) int32
	truncateFunc func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunc     func(tls *libc.TLS, file uintptr, flags int32) int32
)

// engine is the one VFS of a process; the engine's registry is one of a process, too.
var engine struct {
	once    sync.Once
	err     error
	open    openFunc
	mu      sync.Mutex
	disks   map[string]*Disk               // by folder
	files   map[uintptr]*file              // by the engine's handle
	methods map[uintptr]*functions         // by the engine's table
	tables  map[uintptr]*functions         // by our table
	keep    []*sqlite3.Tsqlite3_io_methods // our tables, so that they stay
}

// functions are those of a table that are put in front of.
type functions struct {
	table    *sqlite3.Tsqlite3_io_methods
	close    closeFunc
	write    writeFunc
	truncate truncateFunc
	sync     syncFunc
}

// Install makes every database that is opened from now on in this process use the VFS. Syncs reach no real disk any more.
func Install() error {
	engine.once.Do(func() { engine.err = install() })
	return engine.err
}

func install() error {
	engine.disks, engine.files = map[string]*Disk{}, map[uintptr]*file{}
	engine.methods, engine.tables = map[uintptr]*functions{}, map[uintptr]*functions{}
	tls := libc.NewTLS()
	found := sqlite3.Xsqlite3_vfs_find(tls, 0)
	if found == 0 {
		return fmt.Errorf("the engine has no VFS")
	}
	size := unsafe.Sizeof(sqlite3.Tsqlite3_vfs{})
	own := libc.Xcalloc(tls, 1, libc.Tsize_t(size))
	name, err := libc.CString("simulation")
	if err != nil || own == 0 {
		return fmt.Errorf("no memory for the VFS")
	}
	vfs := at[sqlite3.Tsqlite3_vfs](own)
	*vfs = *at[sqlite3.Tsqlite3_vfs](found)
	engine.open = *(*openFunc)(unsafe.Pointer(&vfs.FxOpen))
	vfs.FpNext, vfs.FzName = 0, name
	opened := openFunc(xOpen)
	vfs.FxOpen = *(*uintptr)(unsafe.Pointer(&opened))
	if rc := sqlite3.Xsqlite3_vfs_register(tls, own, 1); rc != sqlite3.SQLITE_OK {
		return fmt.Errorf("the engine refuses the VFS: %d", rc)
	}
	return nil
}

// The table's entries must outlive every file, so they are taken from variables of the package.
var (
	ownClose    closeFunc    = xClose
	ownWrite    writeFunc    = xWrite
	ownTruncate truncateFunc = xTruncate
	ownSync     syncFunc     = xSync
)

// at is what lies at an address of the engine's memory, which the garbage collector has nothing to do with.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

type handle struct{ methods uintptr }

func xOpen(tls *libc.TLS, vfs, name, f uintptr, flags int32, outFlags uintptr) int32 {
	path := ""
	if name != 0 {
		path = libc.GoString(name)
	}
	opened, rc := before(path)
	if rc != sqlite3.SQLITE_OK {
		return rc
	}
	if rc := engine.open(tls, vfs, name, f, flags, outFlags); rc != sqlite3.SQLITE_OK {
		return rc
	}
	h := at[handle](f)
	engine.mu.Lock()
	defer engine.mu.Unlock()
	own := engine.methods[h.methods]
	if own == nil {
		own = front(h.methods)
	}
	h.methods = uintptr(unsafe.Pointer(own.table))
	if opened != nil {
		engine.files[f] = opened
	}
	return sqlite3.SQLITE_OK
}

// front makes a table like the engine's, with our functions in front. The caller holds mu.
func front(methods uintptr) *functions {
	table := new(sqlite3.Tsqlite3_io_methods)
	*table = *at[sqlite3.Tsqlite3_io_methods](methods)
	own := &functions{
		table:    table,
		close:    *(*closeFunc)(unsafe.Pointer(&table.FxClose)),
		write:    *(*writeFunc)(unsafe.Pointer(&table.FxWrite)),
		truncate: *(*truncateFunc)(unsafe.Pointer(&table.FxTruncate)),
		sync:     *(*syncFunc)(unsafe.Pointer(&table.FxSync)),
	}
	table.FxClose = *(*uintptr)(unsafe.Pointer(&ownClose))
	table.FxWrite = *(*uintptr)(unsafe.Pointer(&ownWrite))
	table.FxTruncate = *(*uintptr)(unsafe.Pointer(&ownTruncate))
	table.FxSync = *(*uintptr)(unsafe.Pointer(&ownSync))
	engine.methods[methods], engine.tables[uintptr(unsafe.Pointer(table))] = own, own
	engine.keep = append(engine.keep, table)
	return own
}

func lookup(f uintptr) (*functions, *file) {
	engine.mu.Lock()
	defer engine.mu.Unlock()
	return engine.tables[at[handle](f).methods], engine.files[f]
}

func xClose(tls *libc.TLS, f uintptr) int32 {
	own, _ := lookup(f)
	engine.mu.Lock()
	delete(engine.files, f)
	engine.mu.Unlock()
	return own.close(tls, f)
}

func xWrite(tls *libc.TLS, f, data uintptr, size int32, offset int64) int32 {
	own, opened := lookup(f)
	if opened != nil {
		if rc := opened.wrote(unsafe.Slice(at[byte](data), size), offset); rc != sqlite3.SQLITE_OK {
			return rc
		}
	}
	return own.write(tls, f, data, size, offset)
}

func xTruncate(tls *libc.TLS, f uintptr, size int64) int32 {
	own, opened := lookup(f)
	if opened != nil {
		if rc := opened.cut(size); rc != sqlite3.SQLITE_OK {
			return rc
		}
	}
	return own.truncate(tls, f, size)
}

func xSync(_ *libc.TLS, f uintptr, _ int32) int32 {
	if _, opened := lookup(f); opened != nil {
		return opened.sync()
	}
	return sqlite3.SQLITE_OK
}
