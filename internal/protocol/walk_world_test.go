package protocol_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/protocol"
)

// A walk drives the real protocol.Copy through a random history of a small cluster: three mailstores, two accounts, one
// stream. Everything around the copies (databases, network, log, clients) is modelled here in the simplest way that can
// still go wrong as the real thing does.
const (
	storesCount   = 3
	accountsCount = 2
	recordsMax    = 5000 // a walk of the usual length has a tenth of that
)

// world is the whole cluster.
type world struct {
	random    *rand.Rand
	without   rules // the rules that are taken away, none in an honest walk
	log       []event.Record
	start     int            // offsets below are trimmed
	net       []event.Record // appends under way: they arrive late, in any order, twice or never
	stores    [storesCount]*store
	transfers []*transfer
	attempts  [accountsCount][storesCount]event.ID // Joins that were read back and whose attempt has not begun
	trims     bool
	check     *checker
	messages  int
	weights   []int // of the actions, in this walk
	total     int
}

// store is one mailstore. db is what its operating system has, disk what survives a power loss.
type store struct {
	name     string
	up, cut  bool // cut: off from the log
	db, disk *database

	// In memory.
	position int  // of the live reader
	target   int  // the end that the stream had at start
	caughtUp bool // has read to the target (rule 8)
	pending  [accountsCount]*pending
	catchUp  [accountsCount]int // reading positions of copies that are catching up

	outside int // a position that is kept outside of the database, for a rule taken away
}

type database struct {
	position  int // lazily stored (rule 5)
	mailboxes [accountsCount]*mailboxModel
}

// mailboxModel is one copy with its rows.
type mailboxModel struct {
	copy    *protocol.Copy
	rows    folder
	journal [][]event.Record
}

// folder is the rows of a mailbox of one folder.
type folder struct {
	validity, next uint32
	list           []row // by ascending UID
}

type row struct {
	uid     uint32
	message int
	gone    bool // expunged
}

// pending is a transaction in flight, and what its waiter is told when it is decided.
type pending struct {
	protocol.Pending
	effect  *effect        // of a Change; nil for other kinds and for what comes from the journal
	instead []event.Record // what is appended in its place, once it is withdrawn
}

// effect is what a walk's Change does: it delivers a message, or expunges one.
type effect struct {
	message int
	uid     uint32
	expunge bool
}

// transfer is a snapshot on its way.
type transfer struct {
	account, to int
	from        mailboxModel
}

func (e effect) encode() []byte {
	b := binary.BigEndian.AppendUint32(nil, e.uid)
	b = binary.BigEndian.AppendUint32(b, uint32(e.message))
	if e.expunge {
		return append(b, 1)
	}
	return append(b, 0)
}

func decodeEffect(b []byte) (effect, bool) {
	if len(b) != 9 {
		return effect{}, false
	}
	return effect{
		uid: binary.BigEndian.Uint32(b), message: int(binary.BigEndian.Uint32(b[4:])), expunge: b[8] == 1,
	}, true
}

// apply carries out an effect; false if it contradicts the rows, which makes a copy diverged.
func (r *folder) apply(e effect) bool {
	if e == (effect{}) {
		return true
	}
	i, found := slices.BinarySearchFunc(r.list, e.uid, func(x row, uid uint32) int { return int(int64(x.uid) - int64(uid)) })
	if e.expunge {
		if !found || r.list[i].gone || r.list[i].message != e.message {
			return false
		}
		r.list[i].gone = true
		return true
	}
	if found || e.uid != r.next {
		return false
	}
	r.list = append(r.list, row{uid: e.uid, message: e.message})
	r.next = e.uid + 1
	return true
}

func (r *folder) find(uid uint32) (row, bool) {
	i, found := slices.BinarySearchFunc(r.list, uid, func(x row, uid uint32) int { return int(int64(x.uid) - int64(uid)) })
	if !found {
		return row{}, false
	}
	return r.list[i], true
}

func (r folder) clone() folder {
	r.list = slices.Clone(r.list)
	return r
}

func (m *mailboxModel) clone() *mailboxModel {
	if m == nil {
		return nil
	}
	return &mailboxModel{copy: m.copy.Clone(), rows: m.rows.clone(), journal: slices.Clone(m.journal)}
}

func (d *database) clone() *database {
	e := &database{position: d.position}
	for i, m := range d.mailboxes {
		e.mailboxes[i] = m.clone()
	}
	return e
}

// reload is a copy as it comes out of a database: what is not exported is not there any more.
func reload(c *protocol.Copy) *protocol.Copy {
	d := c.Clone()
	return &protocol.Copy{
		Account: d.Account, Self: d.Self, Condition: d.Condition, Mode: d.Mode, Epoch: d.Epoch, Primary: d.Primary,
		Members: d.Members, Stream: d.Stream, Sequence: d.Sequence, HeadID: d.HeadID, NextOffset: d.NextOffset,
		Committed: d.Committed, CommittedID: d.CommittedID, Journal: d.Journal,
	}
}

func (s *store) fsync() { s.disk = s.db.clone() }

// mailbox is a store's copy, nil if it has none or is down.
func (w *world) mailbox(i, a int) *mailboxModel {
	if !w.stores[i].up {
		return nil
	}
	return w.stores[i].db.mailboxes[a]
}

func accountID(a int) account.ID { return account.ID{0: 0xac, 15: byte(a + 1)} }

func accountIndex(id account.ID) int { return int(id[15]) - 1 }

func storeName(i int) string { return fmt.Sprintf("mbox%d.example.com", i+1) }

func storeIndex(name string) int { return int(name[4]-'0') - 1 }

func newWorld(seed uint64, without rules, tracing bool) *world {
	w := &world{random: rand.New(rand.NewPCG(seed, 7)), without: without}
	w.check = newChecker(tracing)
	w.trims = w.random.IntN(3) == 0
	for i := range w.stores {
		w.stores[i] = &store{name: storeName(i), up: true, caughtUp: true, db: &database{}}
	}
	for a := range accountsCount {
		home := w.random.IntN(storesCount)
		w.stores[home].db.mailboxes[a] = &mailboxModel{
			copy: protocol.NewLocal(accountID(a), storeName(home)), rows: folder{validity: 1, next: 1},
		}
	}
	for _, s := range w.stores {
		s.fsync()
	}
	return w
}

// send puts the parts of a transaction on their way. What is sent must pass the codec.
func (w *world) send(records []event.Record) {
	if len(w.log)+len(w.net) > recordsMax {
		w.check.fail("restless: there is no end of appends that fail")
		return
	}
	for _, r := range records {
		decoded, err := event.Decode(r.Encode())
		if err != nil || !reflect.DeepEqual(decoded, r) {
			w.check.fail("codec: %+v is read back as %+v: %v", r, decoded, err)
		}
		w.net = append(w.net, r)
	}
}

// parts cuts a record into n parts, as event.Split does at its limit.
func parts(r event.Record, payload []byte, n int) []event.Record {
	records := make([]event.Record, n)
	for k := range records {
		records[k] = r
		records[k].Part, records[k].Parts = uint32(k+1), uint32(n)
		records[k].Payload = payload[len(payload)*k/n : len(payload)*(k+1)/n]
	}
	return records
}

func (w *world) trace(format string, args ...any) {
	if w.check.tracing {
		w.check.trace = append(w.check.trace, fmt.Sprintf(format, args...))
	}
}

func (w *world) chance(n int) bool { return w.random.IntN(n) == 0 }

// describe is a record in few words; ids are numbered as they appear.
func (w *world) describe(r event.Record) string {
	if !w.check.tracing {
		return ""
	}
	s := fmt.Sprintf("%s{a%d e%d s%d id%d after id%d by %s", r.Kind, accountIndex(r.Account), r.Epoch, r.Sequence,
		w.check.number(r.ID), w.check.number(r.Previous), short(r.Writer))
	if r.Mailstore != "" {
		s += " of " + short(r.Mailstore)
	}
	if r.Kind == event.Fence {
		s += fmt.Sprintf(" join id%d acceptLoss %v", w.check.number(r.Join), r.AcceptLoss)
	}
	if r.Parts > 1 {
		return s + fmt.Sprintf(" part %d of %d}", r.Part, r.Parts)
	}
	if e, ok := decodeEffect(r.Payload); ok {
		s += fmt.Sprintf(" %+v", e)
	}
	return s + "}"
}

func short(fqdn string) string {
	if fqdn == "" {
		return ""
	}
	return fqdn[:5]
}

func (w *world) describeCopy(c *protocol.Copy) string {
	if !w.check.tracing {
		return ""
	}
	return fmt.Sprintf("%s %s e%d s%d head id%d committed %d journal %d primary %s next %d", c.Condition, c.Mode, c.Epoch,
		c.Sequence, w.check.number(c.HeadID), c.Committed, c.Journal, short(c.Primary), c.NextOffset)
}
