package mailbox

import (
	"fmt"
	"reflect"
	"sync/atomic"
)

var memoryChecked atomic.Bool

// CheckMemory has everybody who answers for a Reader from what was kept in memory ask the database as well, and panic if that says
// otherwise. It is for tests.
func CheckMemory(on bool) { memoryChecked.Store(on) }

// MemoryChecked reports whether CheckMemory is on.
func MemoryChecked() bool { return memoryChecked.Load() }

// MustAgree panics if an answer from memory is not the database's own.
func MustAgree(what string, fromMemory, fromDatabase any) {
	if !reflect.DeepEqual(fromMemory, fromDatabase) {
		panic(fmt.Sprintf("%s: memory says %+v, the database %+v", what, fromMemory, fromDatabase))
	}
}
