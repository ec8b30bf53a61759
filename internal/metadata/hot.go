package metadata

import (
	"slices"
	"sync"

	"mailreplica/internal/mailbox"
)

// What a change asks about a mailbox is, nearly always, what the change before it wrote: the header, the row of a folder, which
// deliveries are not answered. So the last writes of each mailbox in use are kept in memory, with the header that they led to.
//
// A header names one state of a mailbox's rows: its sequence goes up with every change, and it holds their digest. What is
// known is used in a snapshot whose header is the same, and nowhere else, so nothing has to be kept in step with readers.
// A Tx sees the last commit, which nobody but the commit loop moves on; it need not even ask for the header.
const (
	hotMailboxesMax  = 4096
	hotFoldersMax    = 8   // of one mailbox
	hotDeliveriesMax = 256 // of one mailbox; of one that has more none are known
	hotCountEvery    = 1000
)

// hot is what is known of a mailbox's rows at one state. It is copied before it is altered; its slices are never altered in place.
type hot struct {
	header     mailbox.Header
	current    bool // the state is that of the last commit
	folders    []mailbox.Folder
	deliveries []mailbox.Delivery // all there are
	counted    bool               // deliveries is known
	countAt    mailbox.Sequence   // there were too many; they are counted again at this sequence
	learned    bool               // since it was copied
}

// hotRows are what is known of all mailboxes.
type hotRows struct {
	mu    sync.Mutex
	known map[int64]*hot
}

func (h *hotRows) get(id int64) *hot {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known[id]
}

// learn keeps what a snapshot found out, unless more is known, or of a later state. Where nothing is known any more, it is not known
// either whether the snapshot is still that of the last commit.
func (h *hotRows) learn(id int64, k *hot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	other := h.known[id]
	if other != nil && other.header != k.header && other.header.Sequence >= k.header.Sequence {
		return
	}
	k.current = other != nil && other.current && other.header == k.header
	h.set(id, k)
}

// commit keeps what a transaction led to; a nil forgets a mailbox.
func (h *hotRows) commit(written map[int64]*hot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, k := range written {
		if k == nil {
			delete(h.known, id)
			continue
		}
		k.current = true
		h.set(id, k)
	}
}

// forget is for a transaction of which it is not certain that it was undone.
func (h *hotRows) forget(written map[int64]*hot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range written {
		delete(h.known, id)
	}
}

func (h *hotRows) set(id int64, k *hot) {
	if h.known == nil {
		h.known = map[int64]*hot{}
	}
	if _, known := h.known[id]; !known && len(h.known) >= hotMailboxesMax {
		for other := range h.known { // any
			delete(h.known, other)
			break
		}
	}
	h.known[id] = k
}

// state is what is known of a mailbox in this snapshot, its header at least. NotFound of a mailbox that was removed: its rows
// may be half gone.
func (v *View) state(id int64) (*hot, error) {
	if k := v.hot[id]; k != nil {
		return k, firstOf(v.usable(), v.checkHeader(id, k))
	}
	known, err := v.known(id)
	if err != nil {
		return nil, err
	}
	k := *known
	k.learned = false
	if v.hot == nil {
		v.hot = map[int64]*hot{}
	}
	v.hot[id] = &k
	return &k, v.usable()
}

func (v *View) known(id int64) (*hot, error) {
	var same *hot // is this, if its header is
	switch {
	case v.tx == nil:
		same = v.store.hot.get(id)
	case v.tx.cold[id]:
	default:
		k, touched := v.tx.group[id]
		if !touched {
			k = v.store.hot.get(id)
			same = k
		}
		if k != nil && (touched || k.current) {
			return k, nil
		}
	}
	header, err := v.readHeader(id)
	if err != nil {
		return nil, err
	}
	if same != nil && same.header == header && header.Sequence > 0 {
		return same, nil
	}
	return &hot{header: header}, nil
}

func (v *View) readHeader(id int64) (h mailbox.Header, err error) {
	const query = "SELECT " + headerColumns + " FROM mailbox WHERE mailbox_id = ?"
	var sequence, nextItemID, messages, bytes int64
	var digest []byte
	found, err := v.one(query, []any{id}, &sequence, &nextItemID, &h.NextUIDValidity, &messages, &bytes, &digest)
	if err != nil {
		return h, err
	}
	if !found {
		return h, noMailbox(id)
	}
	h.Sequence, h.NextItemID = mailbox.Sequence(sequence), mailbox.ItemID(nextItemID)
	h.Messages, h.Bytes = uint64(messages), uint64(bytes)
	var sum [16]byte
	if copy(sum[:], digest) != len(sum) {
		return h, damagedMailbox(id, nil)
	}
	h.Digest = mailbox.DigestFromBytes(sum)
	return h, nil
}

// publish tells other snapshots what this one found out.
func (v *View) publish() {
	for id, k := range v.hot {
		if k.learned && k.header.Sequence > 0 {
			v.store.hot.learn(id, k)
		}
	}
}

func (k *hot) folder(is func(*mailbox.Folder) bool) (mailbox.Folder, bool) {
	for i := range k.folders {
		if is(&k.folders[i]) {
			return k.folders[i], true
		}
	}
	return mailbox.Folder{}, false
}

// keep adds a folder's row in front; of too many the one goes that was not kept for longest.
func (k *hot) keep(f mailbox.Folder) {
	folders := append(make([]mailbox.Folder, 0, hotFoldersMax), f)
	for i := range k.folders {
		if k.folders[i].ID != f.ID && len(folders) < hotFoldersMax {
			folders = append(folders, k.folders[i])
		}
	}
	k.folders, k.learned = folders, true
}

func (k *hot) drop(id mailbox.ItemID) {
	k.folders = slices.DeleteFunc(slices.Clone(k.folders), func(f mailbox.Folder) bool { return f.ID == id })
}

// after is what is known after a change: nil if the change does not move the sequence on, so that the header would not tell the
// states apart.
func (k *hot) after(d *mailbox.Delta) *hot {
	if d.Header.Sequence <= k.header.Sequence {
		return nil
	}
	next := *k
	next.header = d.Header
	for id, f := range d.Folders {
		if f == nil {
			next.drop(id)
			continue
		}
		if _, known := next.folder(func(g *mailbox.Folder) bool { return g.ID == id }); known || len(d.Folders) <= hotFoldersMax {
			next.keep(*f)
		}
	}
	for _, id := range d.RemovedFolders {
		next.drop(id)
	}
	if len(d.Deliveries) == 0 || !next.counted {
		return &next
	}
	next.deliveries = make([]mailbox.Delivery, 0, len(k.deliveries)+len(d.Deliveries))
	for _, old := range k.deliveries {
		if _, touched := d.Deliveries[old.Key]; !touched {
			next.deliveries = append(next.deliveries, old)
		}
	}
	for _, put := range d.Deliveries {
		if put != nil {
			next.deliveries = append(next.deliveries, *put)
		}
	}
	if len(next.deliveries) > hotDeliveriesMax {
		next.deliveries, next.counted, next.countAt = nil, false, d.Header.Sequence+hotCountEvery
	}
	return &next
}

// count reads which deliveries there are, if they are few.
func (r *rows) count(k *hot) error {
	if k.counted || k.header.Sequence < k.countAt {
		return nil
	}
	all, err := collect(r.v, selectDelivery+" LIMIT ?", []any{r.id, int64(hotDeliveriesMax + 1)}, r.scanDelivery)
	if err != nil {
		return err
	}
	k.learned = true
	if k.counted = len(all) <= hotDeliveriesMax; k.counted {
		k.deliveries = all
	} else {
		k.countAt = k.header.Sequence + hotCountEvery
	}
	return nil
}

// txState is what a Tx knows and owes.
type txState struct {
	group map[int64]*hot // of the functions before it in the same transaction; nil: nothing is known
	cold  map[int64]bool // mailboxes written past what is known
	due   map[int64]*mailboxRow

	atOnce bool
}

// mailboxRow is what is to be written to a mailbox's rows, and to its own row: once, after all that a Tx does to it.
type mailboxRow struct {
	deltas []*mailbox.Delta // in their order
	header *mailbox.Header
	copy   []value // copyValues
}

type dueDelta struct {
	mailboxID int64
	delta     *mailbox.Delta
}

func (v *View) due(id int64) *mailboxRow {
	if v.tx.due == nil {
		v.tx.due = map[int64]*mailboxRow{}
	}
	row := v.tx.due[id]
	if row == nil {
		row = &mailboxRow{}
		v.tx.due[id] = row
	}
	return row
}

// chill forgets what is known of a mailbox: its rows are written without a change.
func (tx *Tx) chill(id int64) {
	if tx.tx.cold == nil {
		tx.tx.cold = map[int64]bool{}
	}
	tx.tx.cold[id] = true
	delete(tx.hot, id)
}

// merge hands what a function that succeeded knows to those after it, and to the commit.
func (tx *Tx) merge() {
	for id := range tx.tx.cold {
		tx.tx.group[id] = nil
	}
	for id, k := range tx.hot {
		tx.tx.group[id] = k
	}
}
