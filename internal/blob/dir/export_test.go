package dir

import (
	"os"
	"time"
)

// PackFile is what a volume needs of a pack that it writes.
type PackFile = packFile

// OnDisk has packs that are made from now on written through what file gives.
func (v *Volume) OnDisk(file func(*os.File) PackFile) {
	v.disk.file = func(f *os.File) packFile { return file(f) }
}

// NoHoles makes the filesystem one that cannot make holes in files.
func (v *Volume) NoHoles(err error) {
	v.disk.punch = func(*os.File, int64, int64) error { return err }
}

// AgePack lets time pass for the pack that is written, by the clock of this process.
func (v *Volume) AgePack(by time.Duration) { v.packer.pack.made = v.packer.pack.made.Add(-by) }

// Waiting tells how many blobs wait to be written.
func (v *Volume) Waiting() (n int) {
	v.packer.mu.Lock()
	defer v.packer.mu.Unlock()
	for _, b := range v.packer.waiting {
		n += len(b.starts)
	}
	return n
}

// TakeTurn lets nobody write while fn runs.
func (v *Volume) TakeTurn(fn func()) {
	<-v.packer.turn
	fn()
	v.packer.turn <- struct{}{}
}
