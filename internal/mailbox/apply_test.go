package mailbox_test

import (
	"errors"
	"testing"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

// sample is a mailbox with some of everything: a (folder 6) holds messages 2 and 3 (message 1 is expunged), which share no
// content, and Sent (folder 3) a copy of 3.
func sample(t *testing.T) *box {
	t.Helper()
	b := newBox(t)
	b.create("a")
	a := b.folder("a").ID
	b.append("a", 3)
	b.do(func(d *mailbox.Draft) error { _, err := d.Expunge(a, []mailbox.UID{1}); return err })
	b.do(func(d *mailbox.Draft) error {
		_, _, err := d.Copy(a, []mailbox.UID{3}, b.folder("Sent").ID)
		return err
	})
	b.do(func(d *mailbox.Draft) error {
		_, _, err := d.Deliver(newMessages(1)[0], mailbox.DeliveryKey{1}, "")
		return err
	})
	return b
}

// contradictory makes effects that contradict the rows of sample.
type contradictory struct {
	h       mailbox.Header
	a, sent mailbox.Folder
	m       mailbox.Message // UID 3 of a
	two     mailbox.Message // UID 2 of a
	made    mailbox.Folder  // as the next folder would be

	discarded mailbox.ItemID
}

func newContradictory(b *box) *contradictory {
	h, _ := b.source.Header()
	x := &contradictory{h: h, a: b.folder("a"), sent: b.folder("Sent")}
	x.m, _, _ = b.source.Message(x.a.ID, 3)
	x.two, _, _ = b.source.Message(x.a.ID, 2)
	_ = b.source.ScanDiscarded(0, func(d mailbox.Discarded) bool { x.discarded = d.ContentID; return false })
	x.made = mailbox.Folder{ID: h.NextItemID, Name: "new", UIDValidity: h.NextUIDValidity, UIDNext: 1, HighestSeq: h.Sequence + 1}
	return x
}

// message puts a message that would fit, but for what is altered.
func (x *contradictory) message(alter func(*mailbox.Message)) mailbox.Effect {
	m := x.m
	m.UID, m.ID = 4, x.h.NextItemID
	alter(&m)
	return mailbox.PutMessage{Message: m}
}

func folder(f mailbox.Folder, alter func(*mailbox.Folder)) mailbox.Effect {
	alter(&f)
	return mailbox.PutFolder{Folder: f}
}

func same[R any](*R) {}

// counters are those of the header, but for what is altered.
func (x *contradictory) counters(alter func(*mailbox.SetCounters)) mailbox.Effect {
	c := mailbox.SetCounters{NextItemID: x.h.NextItemID, NextUIDValidity: x.h.NextUIDValidity, Messages: x.h.Messages, Bytes: x.h.Bytes}
	alter(&c)
	return c
}

func TestContradictions(t *testing.T) {
	b := sample(t)
	x := newContradictory(b)
	for _, cases := range []map[string][]mailbox.Effect{x.messages(), x.folders(), x.others()} {
		for name, effects := range cases {
			_, err := mailbox.Apply(b.source, x.h.Sequence+1, mailbox.Change{Effects: effects, Digest: x.h.Digest})
			if !errors.Is(err, mailbox.ErrContradiction) || !fault.Is(err, fault.Unusable) {
				t.Errorf("%s: got %v, want a contradiction", name, err)
			}
		}
	}
}

func (x *contradictory) messages() map[string][]mailbox.Effect {
	return map[string][]mailbox.Effect{
		"none":                              {nil},
		"message that exists":               {x.message(func(m *mailbox.Message) { m.UID = 3 })},
		"message that was expunged":         {x.message(func(m *mailbox.Message) { m.UID = 1 })},
		"message with UID 0":                {x.message(func(m *mailbox.Message) { m.UID = 0 })},
		"message with the last UID":         {x.message(func(m *mailbox.Message) { m.UID = 1<<32 - 1 })},
		"message in no folder":              {x.message(func(m *mailbox.Message) { m.FolderID = 99 })},
		"message with a used id":            {x.message(func(m *mailbox.Message) { m.ID-- })},
		"message without content":           {x.message(func(m *mailbox.Message) { m.ContentID = 99 })},
		"message whose content is a folder": {x.message(func(m *mailbox.Message) { m.ContentID = 1 })},
		"message with unsorted keywords":    {x.message(func(m *mailbox.Message) { m.Flags.Keywords = []string{"b", "a"} })},
		"message with a keyword twice":      {x.message(func(m *mailbox.Message) { m.Flags.Keywords = []string{"A", "a"} })},
		"message with a bad keyword":        {x.message(func(m *mailbox.Message) { m.Flags.Keywords = []string{"a b"} })},
		"message with unknown flags":        {x.message(func(m *mailbox.Message) { m.Flags.System = 0x80 })},
		"the same message twice":            {x.message(same), x.message(func(m *mailbox.Message) { m.ID++ })},
		"the same id twice":                 {x.message(same), x.message(func(m *mailbox.Message) { m.UID++ })},
		"stale counters":                    {x.message(same)},
		"flags of no message":               {mailbox.SetFlags{FolderID: x.a.ID, UIDs: []mailbox.UID{2, 4}}},
		"flags of an expunged message":      {mailbox.SetFlags{FolderID: x.a.ID, UIDs: []mailbox.UID{1}}},
		"flags of nothing":                  {mailbox.SetFlags{FolderID: x.a.ID}},
		"flags in no folder":                {mailbox.SetFlags{FolderID: 99, UIDs: []mailbox.UID{1}}},
		"flags of UIDs that do not ascend":  {mailbox.SetFlags{FolderID: x.a.ID, UIDs: []mailbox.UID{3, 2}}},
		"flags that are bad":                {mailbox.SetFlags{FolderID: x.a.ID, UIDs: []mailbox.UID{2}, Flags: mailbox.Flags{System: 0x40}}},
		"expunge of no message":             {mailbox.Expunge{FolderID: x.a.ID, UIDs: []mailbox.UID{1, 2}}},
		"expunge twice":                     {mailbox.Expunge{FolderID: x.a.ID, UIDs: []mailbox.UID{2, 2}}},
		"expunge in no folder":              {mailbox.Expunge{FolderID: 99, UIDs: []mailbox.UID{2}}},
	}
}

func (x *contradictory) folders() map[string][]mailbox.Effect {
	return map[string][]mailbox.Effect{
		"folder of a name that is taken":   {folder(x.made, func(f *mailbox.Folder) { f.Name = "a" })},
		"folder renamed to a taken name":   {folder(x.a, func(f *mailbox.Folder) { f.Name = "Sent" })},
		"folder without a name":            {folder(x.made, func(f *mailbox.Folder) { f.Name = "" })},
		"folder with a used id":            {folder(x.made, func(f *mailbox.Folder) { f.ID = x.m.ID })},
		"folder with id 0":                 {folder(x.made, func(f *mailbox.Folder) { f.ID = 0 })},
		"folder with a used UIDVALIDITY":   {folder(x.made, func(f *mailbox.Folder) { f.UIDValidity-- })},
		"folder without UIDNEXT":           {folder(x.made, func(f *mailbox.Folder) { f.UIDNext = 0 })},
		"folder that counts wrongly":       {folder(x.made, func(f *mailbox.Folder) { f.Messages = 1 })},
		"folder changed long ago":          {folder(x.made, func(f *mailbox.Folder) { f.HighestSeq-- })},
		"folder with an older UIDVALIDITY": {folder(x.a, func(f *mailbox.Folder) { f.UIDValidity-- })},
		"folder whose UIDNEXT goes back":   {folder(x.a, func(f *mailbox.Folder) { f.UIDNext-- })},
		"folder whose modseq goes back":    {folder(x.a, func(f *mailbox.Folder) { f.HighestSeq-- })},
		"folder whose modseq is to come":   {folder(x.a, func(f *mailbox.Folder) { f.HighestSeq = x.h.Sequence + 2 })},
		"folder with more messages":        {folder(x.a, func(f *mailbox.Folder) { f.Messages++ })},
		"folder with more unseen":          {folder(x.a, func(f *mailbox.Folder) { f.Unseen++ })},
		"folder with more bytes":           {folder(x.a, func(f *mailbox.Folder) { f.Bytes++ })},
		"folder with more tombstones":      {folder(x.a, func(f *mailbox.Folder) { f.Tombstones++ })},
		"folder pruned by its row":         {folder(x.a, func(f *mailbox.Folder) { f.PrunedUpTo = 2 })},
		"new folder without counters":      {folder(x.made, same)},
		"folder removed that is not there": {mailbox.RemoveFolder{ID: 99}},
		"folder removed twice":             {mailbox.RemoveFolder{ID: x.sent.ID}, mailbox.RemoveFolder{ID: x.sent.ID}},
		"folder that was removed":          {mailbox.RemoveFolder{ID: x.sent.ID}, folder(x.sent, same)},
		"folder removed without usage":     {mailbox.RemoveFolder{ID: x.sent.ID}},
	}
}

func (x *contradictory) others() map[string][]mailbox.Effect {
	expunge := mailbox.Expunge{FolderID: x.a.ID, UIDs: []mailbox.UID{2}} // with counters to match
	lessOne := folder(x.a, func(f *mailbox.Folder) {
		f.Messages, f.Unseen, f.Bytes, f.Tombstones, f.HighestSeq = 1, 1, f.Bytes-x.two.Size, 2, x.h.Sequence+1
	})
	lessUsage := x.counters(func(c *mailbox.SetCounters) { c.Messages--; c.Bytes -= x.two.Size })
	return map[string][]mailbox.Effect{
		"content with a used id":            {mailbox.PutContent{Content: mailbox.Content{ID: x.m.ContentID}}},
		"content for nothing":               {mailbox.PutContent{Content: mailbox.Content{ID: x.h.NextItemID}}, x.counters(func(c *mailbox.SetCounters) { c.NextItemID++ })},
		"content left behind":               {expunge, lessOne, lessUsage},
		"content removed that is in use":    {mailbox.RemoveContent{ID: x.m.ContentID}},
		"content removed that is not there": {mailbox.RemoveContent{ID: 99}},
		"content discarded that is in use":  {mailbox.DiscardContent{ID: x.m.ContentID}},
		"content discarded that is gone":    {mailbox.DiscardContent{ID: 99}},
		"content discarded and put":         {expunge, lessOne, lessUsage, mailbox.DiscardContent{ID: x.two.ContentID}, mailbox.PutContent{Content: mailbox.Content{ID: x.two.ContentID}}},
		"discarded content twice":           {mailbox.RemoveDiscarded{ContentIDs: []mailbox.ItemID{x.discarded, x.discarded}}},
		"discarded contents of none":        {mailbox.RemoveDiscarded{}},
		"discarded content that is not":     {mailbox.RemoveDiscarded{ContentIDs: []mailbox.ItemID{x.m.ContentID}}},
		"tombstones pruned of no folder":    {mailbox.PruneTombstones{FolderID: 99, UpTo: 1}},
		"tombstones pruned up to now":       {mailbox.PruneTombstones{FolderID: x.a.ID, UpTo: x.h.Sequence + 1}},
		"tombstones pruned up to nothing":   {mailbox.PruneTombstones{FolderID: x.a.ID}},
		"subscribed twice":                  {mailbox.PutSubscription{Name: "Sent"}},
		"not subscribed":                    {mailbox.RemoveSubscription{Name: "sent"}},
		"delivered twice":                   {mailbox.PutDelivery{Key: mailbox.DeliveryKey{1}}},
		"delivered without a key":           {mailbox.PutDelivery{}},
		"delivery that is not known":        {mailbox.RemoveDelivery{Key: mailbox.DeliveryKey{2}}},
		"item ids that go back":             {x.counters(func(c *mailbox.SetCounters) { c.NextItemID-- })},
		"UIDVALIDITYs that go back":         {x.counters(func(c *mailbox.SetCounters) { c.NextUIDValidity-- })},
		"usage in messages":                 {x.counters(func(c *mailbox.SetCounters) { c.Messages++ })},
		"usage in bytes":                    {x.counters(func(c *mailbox.SetCounters) { c.Bytes-- })},
	}
}

func TestApplySequence(t *testing.T) {
	b := sample(t)
	h, _ := b.source.Header()
	for _, sequence := range []mailbox.Sequence{0, h.Sequence - 1, h.Sequence, h.Sequence + 2} {
		if _, err := mailbox.Apply(b.source, sequence, mailbox.Change{Digest: h.Digest}); !errors.Is(err, mailbox.ErrContradiction) {
			t.Errorf("sequence %d after %d: got %v, want a contradiction", sequence, h.Sequence, err)
		}
	}
	if _, err := mailbox.NewOverlay(b.source, 1<<63); !errors.Is(err, mailbox.ErrContradiction) {
		t.Errorf("sequence 2^63: got %v, want a contradiction", err)
	}
}

// Rows that differ in anything that no effect names are found by the digest.
func TestDigestDiffers(t *testing.T) {
	for name, alter := range map[string]func(*mailbox.Delta){
		"a date":   func(d *mailbox.Delta) { touched(d.Messages, mailbox.MessageKey{FolderID: 2, UID: 1}).InternalDate++ },
		"a zone":   func(d *mailbox.Delta) { touched(d.Messages, mailbox.MessageKey{FolderID: 2, UID: 1}).DateZone++ },
		"a modseq": func(d *mailbox.Delta) { touched(d.Messages, mailbox.MessageKey{FolderID: 2, UID: 1}).ModSeq-- },
		"a keyword": func(d *mailbox.Delta) {
			touched(d.Messages, mailbox.MessageKey{FolderID: 2, UID: 1}).Flags.Keywords = []string{"x"}
		},
		"a blob":         func(d *mailbox.Delta) { d.Contents[6].Blob = "other" },
		"a summary":      func(d *mailbox.Delta) { d.Contents[6].Summary = []byte("other") },
		"a volume":       func(d *mailbox.Delta) { d.Contents[6].Volume = "other" },
		"a message":      func(d *mailbox.Delta) { d.Messages = d.Messages[:1] },
		"a special use":  func(d *mailbox.Delta) { d.Folders[1].SpecialUse = "\\Sent" },
		"a subscription": func(d *mailbox.Delta) { d.Subscriptions["x"] = true },
		"a tombstone": func(d *mailbox.Delta) {
			key := mailbox.MessageKey{FolderID: 1, UID: 9}
			row := &mailbox.Tombstone{FolderID: 1, UID: 9, Sequence: 1}
			d.Tombstones = []mailbox.Touched[mailbox.MessageKey, mailbox.Tombstone]{{Key: key, Row: row}}
		},
		"a discarded content": func(d *mailbox.Delta) {
			row := &mailbox.Discarded{ContentID: 3, Volume: "v", Blob: "b", Sequence: 1, At: 1}
			d.Discarded = []mailbox.Touched[mailbox.ItemID, mailbox.Discarded]{{Key: 3, Row: row}}
		},
		"a delivery": func(d *mailbox.Delta) {
			d.Deliveries[mailbox.DeliveryKey{1}] = &mailbox.Delivery{Key: mailbox.DeliveryKey{1}, Sequence: 1}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			d, err := mailbox.NewDraft(b.source, moment)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Append(2, newMessages(2)); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Change(); err != nil {
				t.Fatal(err)
			}
			delta := d.Delta()
			f, _, _ := b.source.Folder(1)
			delta.Folders[1] = &f
			alter(&delta)
			_ = b.source.Write(delta)
			h, _ := b.source.Header()
			if full, _ := mailbox.FullDigest(b.source); full == h.Digest {
				t.Error("the digest does not see it")
			}
		})
	}
}

func TestApplyDigest(t *testing.T) {
	b := sample(t)
	d, _ := mailbox.NewDraft(b.source, moment)
	if err := d.Subscribe("x"); err != nil {
		t.Fatal(err)
	}
	c, err := d.Change()
	if err != nil {
		t.Fatal(err)
	}
	good := c.Digest
	c.Digest.Lo++
	if _, err := mailbox.Apply(b.replica, d.Sequence(), c); !errors.Is(err, mailbox.ErrDigest) || !fault.Is(err, fault.Unusable) {
		t.Errorf("got %v, want another digest", err)
	}
	c.Digest = good
	if _, err := mailbox.Apply(b.replica, d.Sequence(), c); err != nil {
		t.Errorf("the right digest is refused: %v", err)
	}
	if err := d.Subscribe("y"); !fault.Is(err, fault.Internal) {
		t.Errorf("an operation after Change: got %v, want it refused", err)
	}
	if again, err := d.Change(); err != nil || again.Digest != good || len(again.Effects) != len(c.Effects) {
		t.Errorf("Change again gave %v, %v", again, err)
	}
}

func TestTouch(t *testing.T) {
	b := sample(t)
	before, _ := b.source.Header()
	d, err := mailbox.Touch(b.source, before.Sequence+1)
	if err != nil {
		t.Fatal(err)
	}
	b.write(d, d)
	after, _ := b.source.Header()
	before.Sequence++
	if after != before || len(d.Folders)+len(d.Messages)+len(d.Contents) > 0 {
		t.Errorf("got header %+v and delta %+v, want header %+v and no rows", after, d, before)
	}
	if _, err := mailbox.Touch(b.source, after.Sequence); !errors.Is(err, mailbox.ErrContradiction) {
		t.Errorf("the same sequence again: got %v, want a contradiction", err)
	}
}

func TestLeap(t *testing.T) {
	b := sample(t)
	before, _ := b.source.Header()
	folders, _ := b.source.Folders()
	sequence := before.Sequence + 1<<32
	source, err := mailbox.Leap(b.source, sequence)
	if err != nil {
		t.Fatal(err)
	}
	replica, err := mailbox.Leap(b.replica, sequence)
	if err != nil {
		t.Fatal(err)
	}
	b.write(source, replica)
	after, _ := b.source.Header()
	if r, _ := b.replica.Header(); r != after {
		t.Errorf("the replica leaps to %+v, the source to %+v", r, after)
	}
	if after.Sequence != sequence || after.NextUIDValidity < before.NextUIDValidity+1<<20+uint32(len(folders)) {
		t.Errorf("got header %+v after %+v", after, before)
	}
	for _, old := range folders {
		f, _, _ := b.source.Folder(old.ID)
		if f.UIDValidity < before.NextUIDValidity || f.HighestSeq != sequence || f.UIDNext != old.UIDNext {
			t.Errorf("folder %+v was %+v", f, old)
		}
	}
	// The lost primary may have made folders that this copy does not know: their numbers are not given out again.
	if first := b.folder("INBOX"); first.UIDValidity < before.NextUIDValidity+1<<20 {
		t.Errorf("the folder with the lowest id has UIDVALIDITY %d, which a lost primary may have used: %d was the next",
			first.UIDValidity, before.NextUIDValidity)
	}
	b.append("a", 1) // and life goes on
	equalUIDs(t, "a", b.uids("a"), 2, 3, 4)
}

func TestEmptyMailbox(t *testing.T) {
	m := mailbox.NewMemory()
	h, _ := m.Header()
	if h != mailbox.EmptyHeader() || h.NextItemID != 1 || h.NextUIDValidity != 1 {
		t.Errorf("got header %+v", h)
	}
	if full, err := mailbox.FullDigest(m); err != nil || full != h.Digest {
		t.Errorf("got digest %v, %v, want %v", full, err, h.Digest)
	}
	for _, compute := range []func(mailbox.Reader, mailbox.Sequence) (mailbox.Delta, error){mailbox.Leap, mailbox.Touch} {
		d, err := compute(m, 1)
		if err != nil || d.Header.Digest != h.Digest {
			t.Errorf("got header %+v, %v", d.Header, err)
		}
	}
}

func TestDigestText(t *testing.T) {
	d := mailbox.Digest{Hi: 1, Lo: 0xfedcba9876543210}
	if got := d.String(); got != "0000000000000001fedcba9876543210" {
		t.Errorf("got %s", got)
	}
	if got := mailbox.DigestFromBytes(d.Bytes()); got != d {
		t.Errorf("got %v back from its bytes, want %v", got, d)
	}
}
