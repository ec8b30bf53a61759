package mailboxtest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

const (
	operationsMax   = 6
	deliveryKeysMax = 40
	lastUID         = mailbox.UID(1<<32 - 1)
)

// oddNames are names that a database mixes up as soon as it compares them in any way but byte by byte.
var oddNames = []string{
	"a", "A", "a ", "a  ", " a", "a\t", "ab", "a/b", "a/B", "A/b", "a /b", "a/b ", "a/b/c", "a/b/b", "a.b", "a%", "a_", "a*b",
	"ä", "Ä", "a\u0308", "ß", "ss", "İ", "i", "\xff", "\xff\xfe", "\x80/\x81", "\xc3", "INBOX/a", "inbox/A", "INBOXa", "in",
	"'", "\"", "\\", "'; DROP TABLE folder; --", "0", "00", "1e3", "\x01", "\x7f", "é/é", "日本", "a\u200b", ".", "..",
}

var keywords = []string{"$Forwarded", "$forwarded", "$Junk", "NonJunk", "a", "A", "x'y", "$MDNSent", "d", "kw-1", "kw-2"}

// RandomName is a folder name, nearly always a valid one.
func RandomName(rng *rand.Rand) string {
	name := oddNames[rng.IntN(len(oddNames))]
	switch rng.IntN(12) {
	case 0:
		return name + "/"
	case 1:
		return name + "/" + oddNames[rng.IntN(len(oddNames))]
	case 2:
		return [...]string{"", "/", "a//b", "a\x00", "x\r\n", "iNbOx", "Sent", "Trash/old"}[rng.IntN(8)]
	}
	return name
}

// RandomFlags are flags with keywords in no order.
func RandomFlags(rng *rand.Rand) mailbox.Flags {
	f := mailbox.Flags{System: mailbox.SystemFlags(rng.IntN(32))}
	for range rng.IntN(3) {
		f.Keywords = append(f.Keywords, keywords[rng.IntN(len(keywords))])
	}
	return f
}

// RandomMessage is a message with dates from 1901 to 9999 and a summary of any bytes.
func RandomMessage(rng *rand.Rand) mailbox.NewMessage {
	summary := make([]byte, rng.IntN(40))
	for i := range summary {
		summary[i] = byte(rng.Uint32())
	}
	zone := time.FixedZone("", (rng.IntN(28*60)-14*60)*60)
	return mailbox.NewMessage{
		Volume: [...]string{"primary", "second"}[rng.IntN(2)], Blob: fmt.Sprintf("blob/%016x", rng.Uint64()), Summary: summary,
		Size: rng.Uint64N(1 << uint(1+rng.IntN(40))), Received: time.Unix(rng.Int64N(250_000_000_000)-2_000_000_000, 0).In(zone),
		Flags: RandomFlags(rng),
	}
}

// randomKey is one of few delivery keys, so that repeats come up.
func randomKey(rng *rand.Rand) mailbox.DeliveryKey {
	var key mailbox.DeliveryKey
	binary.BigEndian.PutUint64(key[24:], 1+rng.Uint64N(deliveryKeysMax))
	key[0] = byte(rng.IntN(2)) * 0xff
	return key
}

// walk is a random draft under way.
type walk struct {
	rng        *rand.Rand
	draft      *mailbox.Draft
	operations []string
}

// RandomDraft folds a few random operations into one transaction over base; the same numbers over the same rows give the same
// transaction. Operations may be refused: it is an error then if they have changed anything, or if base failed. What was done is listed
// for people to read.
func RandomDraft(rng *rand.Rand, base mailbox.Reader) (d *mailbox.Draft, operations []string, err error) {
	d, err = mailbox.NewDraft(base, time.Unix(rng.Int64N(1<<40)-1<<20, 0))
	if err != nil {
		return nil, nil, err
	}
	w := &walk{rng: rng, draft: d}
	for range 1 + rng.IntN(operationsMax) {
		if err := w.step(); err != nil {
			return nil, w.operations, err
		}
	}
	return d, w.operations, nil
}

// step carries out one operation, and checks that it changed nothing where it was refused.
func (w *walk) step() error {
	folders, err := w.draft.Folders()
	if err != nil {
		return err
	}
	before, err := w.draft.Header()
	if err != nil {
		return err
	}
	changes := w.draft.Changes()
	what, refusal := w.operate(folders)
	w.operations = append(w.operations, what)
	if refusal == nil {
		return nil
	}
	switch fault.KindOf(refusal) {
	case fault.Invalid, fault.NotFound, fault.Exists, fault.TooLarge:
	default:
		return fmt.Errorf("%s: %w", what, refusal)
	}
	after, err := w.draft.Header()
	if err != nil {
		return err
	}
	if before != after || w.draft.Changes() != changes {
		return fmt.Errorf("%s was refused (%w) and has changed something", what, refusal)
	}
	return nil
}

func (w *walk) operate(folders []mailbox.Folder) (what string, err error) {
	if len(folders) == 0 {
		return "InitialFolders", w.draft.InitialFolders()
	}
	n := w.rng.IntN(100)
	if n < 30 {
		return w.operateOnFolders(n)
	}
	from, to := folders[w.rng.IntN(len(folders))], folders[w.rng.IntN(len(folders))]
	if w.rng.IntN(3) > 0 { // else messages scatter over too many folders to meet
		from = folders[w.rng.IntN(min(4, len(folders)))]
	}
	return w.operateOnMessages(n, from, to)
}

func (w *walk) operateOnFolders(n int) (what string, err error) {
	name := RandomName(w.rng)
	switch {
	case n < 10:
		use := [...]string{"", "", "", "\\archive", "\\Flagged"}[w.rng.IntN(5)]
		_, err = w.draft.CreateFolder(name, use)
		return fmt.Sprintf("CreateFolder %q %q", name, use), err
	case n < 14:
		return fmt.Sprintf("DeleteFolder %q", name), w.draft.DeleteFolder(name)
	case n < 20:
		to := RandomName(w.rng)
		return fmt.Sprintf("RenameFolder %q %q", name, to), w.draft.RenameFolder(name, to)
	case n < 21:
		return fmt.Sprintf("RenameFolder INBOX %q", name), w.draft.RenameFolder("inbox", name)
	case n < 26:
		return fmt.Sprintf("Subscribe %q", name), w.draft.Subscribe(name)
	}
	return fmt.Sprintf("Unsubscribe %q", name), w.draft.Unsubscribe(name)
}

func (w *walk) operateOnMessages(n int, from, to mailbox.Folder) (what string, err error) {
	d := w.draft
	switch {
	case n < 45:
		messages := make([]mailbox.NewMessage, 1+w.rng.IntN(8))
		for i := range messages {
			messages[i] = RandomMessage(w.rng)
		}
		_, err = d.Append(from.ID, messages)
		return fmt.Sprintf("Append %d to %q", len(messages), from.Name), err
	case n < 58:
		key := randomKey(w.rng)
		_, repeated, err := d.Deliver(RandomMessage(w.rng), key, [...]string{"", "Junk", "nowhere"}[w.rng.IntN(3)])
		return fmt.Sprintf("Deliver %x, repeated: %t", key, repeated), err
	case n < 61:
		keys := []mailbox.DeliveryKey{randomKey(w.rng), randomKey(w.rng), randomKey(w.rng)}
		return fmt.Sprintf("Answered %x", keys), d.Answered(keys)
	case n < 77:
		return w.setFlags(from)
	}
	uids := w.randomUIDs(from)
	switch {
	case n < 86:
		_, err = d.Expunge(from.ID, uids)
		return fmt.Sprintf("Expunge %q %v", from.Name, uids), err
	case n < 92:
		_, _, err = d.Copy(from.ID, uids, to.ID)
		return fmt.Sprintf("Copy %q %v to %q", from.Name, uids, to.Name), err
	case n < 97:
		_, _, err = d.Move(from.ID, uids, to.ID)
		return fmt.Sprintf("Move %q %v to %q", from.Name, uids, to.Name), err
	}
	if n < 99 {
		return w.reclaim()
	}
	upTo := d.Sequence() - min(d.Sequence(), mailbox.Sequence(w.rng.IntN(20)))
	return fmt.Sprintf("PruneTombstones %q %d", from.Name, upTo), d.PruneTombstones(from.ID, upTo)
}

func (w *walk) setFlags(f mailbox.Folder) (what string, err error) {
	uids, op, flags := w.randomUIDs(f), mailbox.FlagOp(w.rng.IntN(3)), RandomFlags(w.rng)
	var since *mailbox.Sequence
	if w.rng.IntN(3) == 0 {
		s := w.draft.Sequence() - min(w.draft.Sequence(), mailbox.Sequence(w.rng.IntN(10)))
		since = &s
	}
	_, _, err = w.draft.SetFlags(f.ID, uids, op, flags, since)
	return fmt.Sprintf("SetFlags %q %v %d %v", f.Name, uids, op, flags), err
}

// reclaim forgets some of the discarded contents, and names one that may not be there.
func (w *walk) reclaim() (what string, err error) {
	ids := []mailbox.ItemID{mailbox.ItemID(w.rng.Uint64N(400))}
	err = w.draft.ScanDiscarded(ids[0], func(d mailbox.Discarded) bool {
		ids = append(ids, d.ContentID, d.ContentID)
		return len(ids) < 20
	})
	if err != nil {
		return "ScanDiscarded", err
	}
	w.rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return fmt.Sprintf("Reclaimed %v", ids), w.draft.Reclaimed(ids)
}

// randomUIDs are some that exist and some that do not, at times in no order.
func (w *walk) randomUIDs(f mailbox.Folder) []mailbox.UID {
	var uids []mailbox.UID
	if w.rng.IntN(4) == 0 { // one range
		from := mailbox.UID(w.rng.Uint64N(uint64(f.UIDNext)))
		for uid := from; uid < f.UIDNext && len(uids) < 60; uid++ {
			uids = append(uids, uid)
		}
		return uids
	}
	for range 1 + w.rng.IntN(10) {
		uids = append(uids, mailbox.UID(w.rng.Uint64N(uint64(f.UIDNext)+1)))
	}
	if w.rng.IntN(2) == 0 {
		slices.Sort(uids)
	}
	return append(uids, lastUID)
}
