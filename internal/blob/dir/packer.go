package dir

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// batchBytesMax is how much is written by one call.
	batchBytesMax = 1 << 20

	// sparesMax is for the batch that is written and the one that waits.
	sparesMax = 2

	// packAge is how long a pack takes new blobs, at most.
	packAge = time.Hour
)

// packer appends to packs what Commits hand to it. All that wait while a write is under way share the next one, and its sync:
// nothing waits for company, and one that is alone is written by its own goroutine.
type packer struct {
	volume *Volume
	turn   chan struct{} // holds the right to write, for one to take

	mu      sync.Mutex
	waiting []*batch // the last one may take more
	spare   [][]byte // memory of batches that were written

	useless atomic.Bool // the filesystem makes no holes

	pack *pack // of whoever has the turn: the one that is written, if there is one
}

func newPacker(v *Volume) *packer {
	p := &packer{volume: v, turn: make(chan struct{}, 1)}
	p.turn <- struct{}{}
	return p
}

// batch is what one call writes.
type batch struct {
	bytes  []byte
	starts []int // of the records
	left   int   // how many do not wait any longer

	done  chan struct{} // closed when the rest is known
	names []string      // of the blobs
	err   error         // of them all
}

func (b *batch) isDone() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

// commit writes a blob, and returns its name when it is durable. If one of the contexts ends first, the bytes may be written all
// the same, under a name that nobody knows.
func (p *packer) commit(ctx, writing context.Context, body []byte) (string, error) {
	b, i := p.join(body)
	for {
		select {
		case <-b.done:
			if b.err != nil {
				return "", b.err
			}
			return b.names[i], nil
		case <-p.turn:
			if !b.isDone() {
				p.writeFirst()
			}
			p.turn <- struct{}{}
		case <-ctx.Done():
			p.leave(b)
			return "", ctx.Err()
		case <-writing.Done():
			p.leave(b)
			return "", writing.Err()
		}
	}
}

// join puts a blob into the last batch that waits, and gives its number in there.
func (p *packer) join(body []byte) (*batch, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b *batch
	if n := len(p.waiting); n > 0 && len(p.waiting[n-1].bytes)+bufferBytes <= batchBytesMax {
		b = p.waiting[n-1]
	} else {
		b = &batch{done: make(chan struct{})}
		if n := len(p.spare); n > 0 {
			b.bytes, p.spare = p.spare[n-1], p.spare[:n-1]
		}
		p.waiting = append(p.waiting, b)
	}
	b.starts = append(b.starts, len(b.bytes))
	b.bytes = appendRecord(b.bytes, body)
	return b, len(b.starts) - 1
}

// leave ends the waiting for a batch. What nobody waits for is not written: while a disk hangs, it must not pile up.
func (p *packer) leave(b *batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.left++; b.left == len(b.starts) {
		p.waiting = slices.DeleteFunc(p.waiting, func(w *batch) bool { return w == b })
	}
}

// writeFirst writes the batch that has waited longest, if there is one. The caller has the turn. That may not be the caller's own,
// which another may have written, or which comes next.
func (p *packer) writeFirst() {
	p.mu.Lock()
	if len(p.waiting) == 0 {
		p.mu.Unlock()
		return
	}
	b := p.waiting[0]
	p.waiting = slices.Delete(p.waiting, 0, 1)
	p.mu.Unlock()
	b.err = p.write(b)
	p.mu.Lock()
	if len(p.spare) < sparesMax {
		p.spare = append(p.spare, b.bytes[:0])
	}
	b.bytes = nil
	p.mu.Unlock()
	close(b.done)
}

// write appends a batch to the pack that takes it. One that failed is never written again: what of it is on the disk, and what
// only in memory, is not known then.
func (p *packer) write(b *batch) error {
	if p.pack != nil && !p.pack.takes(len(b.bytes)) {
		p.close()
	}
	if p.pack == nil {
		made, err := p.volume.makePack()
		if err != nil {
			return err
		}
		p.pack = made
	}
	b.names = p.pack.seal(b.bytes, b.starts)
	if err := p.pack.append(b.bytes); err != nil {
		p.pack.giveUp()
		p.pack = nil
		return err
	}
	return nil
}

// close ends the pack that is written. The caller has the turn, or is alone.
func (p *packer) close() {
	if p.pack != nil {
		p.pack.file.Close()
		p.pack = nil
	}
}
