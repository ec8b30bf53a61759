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
	disks   map[string]*Disk       // by folder
	opened  map[uintptr]opened     // by the engine's handle
	methods map[uintptr]*functions // by the engine's table
}

// opened is an open file: its functions, and what of it the disk has; nil if no disk watches it.
type opened struct {
	*functions
	file *file
}

// functions are those of a table that are put in front of.
type functions struct {
	table    uintptr // ours, which is of the engine's memory
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
	engine.disks, engine.opened, engine.methods = map[string]*Disk{}, map[uintptr]opened{}, map[uintptr]*functions{}
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
	watched, rc := before(path)
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
		own = front(tls, h.methods)
	}
	h.methods = own.table
	engine.opened[f] = opened{own, watched}
	return sqlite3.SQLITE_OK
}

// front makes a table like the engine's, with our functions in front. The caller holds mu.
func front(tls *libc.TLS, methods uintptr) *functions {
	memory := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_io_methods{})))
	table := at[sqlite3.Tsqlite3_io_methods](memory)
	*table = *at[sqlite3.Tsqlite3_io_methods](methods)
	own := &functions{
		table:    memory,
		close:    *(*closeFunc)(unsafe.Pointer(&table.FxClose)),
		write:    *(*writeFunc)(unsafe.Pointer(&table.FxWrite)),
		truncate: *(*truncateFunc)(unsafe.Pointer(&table.FxTruncate)),
		sync:     *(*syncFunc)(unsafe.Pointer(&table.FxSync)),
	}
	table.FxClose = *(*uintptr)(unsafe.Pointer(&ownClose))
	table.FxWrite = *(*uintptr)(unsafe.Pointer(&ownWrite))
	table.FxTruncate = *(*uintptr)(unsafe.Pointer(&ownTruncate))
	table.FxSync = *(*uintptr)(unsafe.Pointer(&ownSync))
	engine.methods[methods] = own
	return own
}

func lookup(f uintptr) opened {
	engine.mu.Lock()
	defer engine.mu.Unlock()
	return engine.opened[f]
}

func xClose(tls *libc.TLS, f uintptr) int32 {
	o := lookup(f)
	engine.mu.Lock()
	delete(engine.opened, f)
	engine.mu.Unlock()
	return o.close(tls, f)
}

func xWrite(tls *libc.TLS, f, data uintptr, size int32, offset int64) int32 {
	o := lookup(f)
	if o.file != nil {
		if rc := o.file.wrote(unsafe.Slice(at[byte](data), size), offset); rc != sqlite3.SQLITE_OK {
			return rc
		}
	}
	return o.write(tls, f, data, size, offset)
}

func xTruncate(tls *libc.TLS, f uintptr, size int64) int32 {
	o := lookup(f)
	if o.file != nil {
		if rc := o.file.cut(size); rc != sqlite3.SQLITE_OK {
			return rc
		}
	}
	return o.truncate(tls, f, size)
}

func xSync(_ *libc.TLS, f uintptr, _ int32) int32 {
	if o := lookup(f); o.file != nil {
		return o.file.sync()
	}
	return sqlite3.SQLITE_OK
}
