package mailbox

import (
	"cmp"
	"slices"
	"time"

	"mailreplica/internal/fault"
)

// changeBytesMax bounds what one draft holds, as estimated, in bytes. It is below event.ChangeBytesMax by a margin for the
// estimate's error.
const changeBytesMax = 192 << 20

// Draft computes the change of one transaction. It is a Reader of what the mailbox will be, so that several operations can
// be folded into one transaction and each sees those before it.
//
// An operation that returns an error has changed nothing, and the draft can be used on; unless the Reader beneath failed in
// its midst: then every later call returns that error. A Draft serves one goroutine.
type Draft struct {
	Reader // the overlay

	overlay *Overlay
	effects []Effect
	bytes   int // estimate of the encoded effects
	at      int64
	limits  limits
	broken  error
	sealed  bool
}

// limits bound what a mailbox remembers. Tests lower them.
type limits struct{ tombstonesPerFolder, deliveries int }

// NewDraft begins the transaction that follows the rows of base, and that is decided at a time: what it discards is discarded
// then.
func NewDraft(base Reader, now time.Time) (*Draft, error) {
	header, err := base.Header()
	if err != nil {
		return nil, err
	}
	o, err := NewOverlay(base, header.Sequence+1)
	if err != nil {
		return nil, err
	}
	return &Draft{Reader: o, overlay: o, at: now.Unix(), limits: limits{tombstonesPerFolderMax, deliveriesMax}}, nil
}

// Sequence is the transaction's.
func (d *Draft) Sequence() Sequence { return d.overlay.sequence }

// Empty reports whether the operations so far change nothing.
func (d *Draft) Empty() bool { return len(d.effects) == 0 }

// Changes counts the effects so far.
func (d *Draft) Changes() int { return len(d.effects) }

// EncodedSizeEstimate is about how many bytes the effects so far take in the log.
func (d *Draft) EncodedSizeEstimate() int { return d.bytes }

// Change ends the draft and gives its effects. Operations are refused from then on.
func (d *Draft) Change() (Change, error) {
	if d.broken != nil {
		return Change{}, d.broken
	}
	if !d.sealed {
		if err := d.settle(); err != nil {
			return Change{}, err
		}
		d.sealed = true
	}
	return Change{Effects: d.effects, Digest: d.overlay.tally.digest}, nil
}

// DeletedUIDs is what the function of that name asks for.
func (d *Draft) DeletedUIDs(folder ItemID) ([]UID, error) { return d.overlay.DeletedUIDs(folder) }

// Delta is what the change does to the rows. It is valid after Change.
func (d *Draft) Delta() Delta { return d.overlay.Delta() }

// settle puts the counters, once for the whole transaction, where they differ from the rows.
func (d *Draft) settle() error {
	var stale []Folder
	for _, s := range d.overlay.folders {
		if !s.removed && s.row != s.now {
			stale = append(stale, s.now)
		}
	}
	sortByID(stale)
	for _, f := range stale {
		if err := d.emit(PutFolder{f}); err != nil {
			return err
		}
	}
	h := d.overlay.header
	if c := d.overlay.counters(); c != (SetCounters{h.NextItemID, h.NextUIDValidity, h.Messages, h.Bytes}) {
		if err := d.emit(c); err != nil {
			return err
		}
	}
	if err := d.overlay.finish(); err != nil {
		return d.fail(err)
	}
	return nil
}

// begin opens an operation.
func (d *Draft) begin() error {
	if d.sealed {
		return fault.New(fault.Internal, "the transaction is complete already")
	}
	return d.broken
}

// emit applies an effect and keeps it.
func (d *Draft) emit(e Effect) error { return d.keep(e, d.overlay.Apply(e)) }

// keep keeps an effect that was applied, with the error of that.
func (d *Draft) keep(e Effect, err error) error {
	if err != nil {
		return d.fail(err)
	}
	d.effects = append(d.effects, e)
	d.bytes += effectBytes(e)
	return nil
}

// fail makes the draft unusable: an operation failed when it had begun to change rows.
func (d *Draft) fail(err error) error {
	d.broken = err
	return err
}

// room checks, before an operation, that the transaction can take about so many bytes more.
func (d *Draft) room(bytes int) error {
	if d.bytes+bytes > changeBytesMax {
		return fault.New(fault.TooLarge, "one transaction changes at most %d MiB of metadata", changeBytesMax>>20)
	}
	return nil
}

// Estimates of encoded sizes, in bytes.
const (
	rowBytes = 64
	uidBytes = 3
	idBytes  = 4
)

func effectBytes(e Effect) int {
	switch e := e.(type) {
	case PutFolder:
		return rowBytes + len(e.Folder.Name)
	case PutContent:
		return contentBytes(e.Content.Volume, e.Content.Blob, e.Content.Summary)
	case PutMessage:
		return messageBytes(e.Message.Flags)
	case SetFlags:
		return messageBytes(e.Flags) + uidBytes*len(e.UIDs)
	case Expunge:
		return rowBytes/4 + uidBytes*len(e.UIDs)
	case DiscardContent:
		return rowBytes / 4
	case RemoveDiscarded:
		return rowBytes/4 + idBytes*len(e.ContentIDs)
	case PutSubscription:
		return rowBytes/4 + len(e.Name)
	case RemoveSubscription:
		return rowBytes/4 + len(e.Name)
	}
	return rowBytes * 3 / 4 // a delivery's key takes the most of those left
}

func contentBytes(volume, blob string, summary []byte) int {
	return rowBytes/4 + len(volume) + len(blob) + len(summary)
}

func messageBytes(f Flags) int {
	n := rowBytes
	for _, k := range f.Keywords {
		n += len(k) + 1
	}
	return n
}

// folder finds a folder that an operation names.
func (d *Draft) folder(id ItemID) (*folderState, error) {
	s, err := d.overlay.state(id)
	if err == nil && s == nil {
		err = fault.New(fault.NotFound, "there is no such folder")
	}
	return s, err
}

// removeOrphans discards those contents of removed messages that no message refers to any more.
func (d *Draft) removeOrphans(removed []Message) error {
	ids := make([]ItemID, 0, len(removed))
	for _, m := range removed {
		ids = append(ids, m.ContentID)
	}
	slices.SortFunc(ids, cmp.Compare)
	var orphans []Effect
	for _, id := range slices.Compact(ids) {
		n, err := d.overlay.References(id)
		if err != nil {
			return d.fail(err)
		}
		if n == 0 {
			orphans = append(orphans, DiscardContent{ID: id, At: d.at})
		}
	}
	for i, e := range orphans {
		if err := d.overlay.readDiscarded(orphans[i:]); err != nil {
			return d.fail(err)
		}
		if err := d.emit(e); err != nil {
			return err
		}
	}
	return nil
}
