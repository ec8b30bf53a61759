package dir

import (
	"os"
	"sync/atomic"
)

// openPacksMax bounds the files that a volume keeps open for reading.
const openPacksMax = 64

// openPacks keeps packs open that were read lately, since opening and closing one takes longer than reading a message: the one read last of
// each of some groups of packs.
//
// A filesystem that is shared over a network looks whether others have written to a file when it is opened. So what a kept file does not
// have is looked for once more in one that is opened anew; what it has is right, for the bytes of a blob never change.
type openPacks [openPacksMax]atomic.Pointer[openPack]

type openPack struct {
	name string
	file *os.File
}

func (o *openPacks) group(pack string) *atomic.Pointer[openPack] {
	return &o[shardOf(pack)%openPacksMax]
}

// of gives a pack that is open, nil if it is not. Whoever keeps another in its place closes it, which reading then tells.
func (o *openPacks) of(pack string) *os.File {
	if kept := o.group(pack).Load(); kept != nil && kept.name == pack {
		return kept.file
	}
	return nil
}

// keep takes over a file.
func (o *openPacks) keep(pack string, file *os.File) {
	if old := o.group(pack).Swap(&openPack{pack, file}); old != nil {
		_ = old.file.Close()
	}
}

func (o *openPacks) close() {
	for i := range o {
		if kept := o[i].Swap(nil); kept != nil {
			_ = kept.file.Close()
		}
	}
}
