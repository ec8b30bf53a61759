package mailstore

import (
	"sync"

	"mailreplica/internal/account"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

// openTransactions are the copies that have read the first parts of a transaction and not its last (rule 10). They are few, so
// that a batch need not look at every copy of the mailstore to know which position it may store. Its lock is the last one.
type openTransactions struct {
	mu    sync.Mutex
	first map[*Account]openTransaction
}

type openTransaction struct {
	stream protocol.Stream
	offset int64 // of the first part
}

func (o *openTransactions) set(a *Account, c *protocol.Copy) {
	offset, open := c.OpenTransaction()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !open || a.removed {
		delete(o.first, a)
		return
	}
	o.first[a] = openTransaction{c.Stream, offset}
}

// before is the lowest offset of a first part in the stream, among copies that are not in the batch; those in it are judged by
// their working copies.
func (o *openTransactions) before(p metadata.Position, batch map[account.ID]*judged) int64 {
	lowest := p.Offset
	o.mu.Lock()
	defer o.mu.Unlock()
	for a, t := range o.first {
		if share := batch[a.id]; share == nil && lies(t.stream, p) {
			lowest = min(lowest, t.offset)
		}
	}
	return lowest
}
