package event

import (
	"mailreplica/internal/account"
	"mailreplica/internal/fault"
)

// Bits of a record's field set. A field whose bit is clear has its zero value (Part and Parts: 1) and takes no byte.
const (
	hasSequence uint16 = 1 << iota
	hasPrevious
	hasMailstore
	mailstoreIsWriter
	hasJoin
	hasOperation
	acceptsLoss
	hasParts
	hasPayload
	knownFields = 1<<iota - 1
)

// Key is the key under which an account's records are appended.
func Key(id account.ID) []byte { return id[:] }

// ParseKey is the inverse of Key; false if the key is none of ours.
func ParseKey(key []byte) (account.ID, bool) {
	if len(key) != len(account.ID{}) {
		return account.ID{}, false
	}
	return account.ID(key), true
}

// Encode is the record in the log, version first. Only a record that passes Check can be decoded again.
func (r *Record) Encode() []byte {
	c := codec{b: make([]byte, 0, 192+len(r.Payload))}
	own := *r // the codec, which serves both directions, writes what it encodes: others may be reading r
	c.record(&own)
	return c.b
}

// Decode is the inverse of Encode; whatever Encode would not have made of a record that passes Check is Invalid. What it
// returns shares no memory with b.
func Decode(b []byte) (Record, error) {
	c := codec{reading: true, b: b}
	r := Record{Part: 1, Parts: 1}
	c.record(&r)
	if err := c.finish("record"); err != nil {
		return Record{}, err
	}
	if err := r.Check(); err != nil {
		return Record{}, err
	}
	return r, nil
}

// PeekKind is the kind of an encoded record without decoding it; 0 if it cannot be told. Whoever relies on it decodes the
// record too.
func PeekKind(b []byte) Kind {
	if len(b) < 2 || b[0] != recordVersion || Kind(b[1]) > Delete {
		return 0
	}
	return Kind(b[1])
}

// Split makes the records of a transaction out of its encoded change: parts of at most PartBytesMax bytes with one id and
// one sequence (rule 10).
func Split(r Record, payload []byte) []Record {
	n := max(1, (len(payload)+PartBytesMax-1)/PartBytesMax)
	parts := make([]Record, n)
	for i := range parts {
		parts[i] = r
		parts[i].Part, parts[i].Parts = uint32(i+1), uint32(n)
		parts[i].Payload = payload[i*PartBytesMax : min(len(payload), (i+1)*PartBytesMax)]
	}
	return parts
}

func (c *codec) record(r *Record) {
	version := uint8(recordVersion)
	number(c, &version)
	if version != recordVersion {
		c.fail("unknown version %d of a record", version)
	}
	number(c, &r.Kind)
	fields := r.fields()
	number(c, &fields)
	if fields&^knownFields != 0 {
		c.fail("unknown fields %#x", fields)
	}
	c.fixed(r.Account[:])
	c.fixed(r.ID[:])
	number(c, &r.Epoch)
	if fields&hasSequence != 0 {
		c.sequence(&r.Sequence)
	}
	if fields&hasPrevious != 0 {
		c.fixed(r.Previous[:])
	}
	c.text(&r.Writer, fqdnBytesMax)
	if fields&hasMailstore != 0 {
		c.text(&r.Mailstore, fqdnBytesMax)
	}
	if fields&mailstoreIsWriter != 0 {
		r.Mailstore = r.Writer
	}
	if fields&hasJoin != 0 {
		c.fixed(r.Join[:])
	}
	if fields&hasOperation != 0 {
		c.text(&r.Operation, operationBytes)
	}
	r.AcceptLoss = fields&acceptsLoss != 0
	if fields&hasParts != 0 {
		number(c, &r.Part)
		number(c, &r.Parts)
	}
	if fields&hasPayload != 0 {
		c.bytes(&r.Payload, PartBytesMax)
	}
	if c.reading && c.err == nil && r.fields() != fields {
		c.fail("fields %#x are not those of the record", fields)
	}
}

// fields is the set of the fields that are to be written.
func (r *Record) fields() uint16 {
	var set uint16
	for _, f := range [...]struct {
		bit     uint16
		present bool
	}{
		{hasSequence, r.Sequence != 0},
		{hasPrevious, r.Previous != ID{}},
		{hasMailstore, r.Mailstore != "" && r.Mailstore != r.Writer},
		{mailstoreIsWriter, r.Mailstore != "" && r.Mailstore == r.Writer},
		{hasJoin, r.Join != ID{}},
		{hasOperation, r.Operation != ""},
		{acceptsLoss, r.AcceptLoss},
		{hasParts, r.Part != 1 || r.Parts != 1},
		{hasPayload, len(r.Payload) > 0},
	} {
		if f.present {
			set |= f.bit
		}
	}
	return set
}

// Check says what is wrong with a record, nil if nothing is: before it is appended, and again when it is decoded.
func (r *Record) Check() error {
	fence, names := r.Kind == Fence, r.Kind == Open || r.Kind == Fence || r.Kind == Join || r.Kind == Leave
	for _, rule := range [...]struct {
		broken bool
		text   string
	}{
		{r.Kind < Open || r.Kind > Delete, "unknown kind"},
		{r.Account == account.ID{}, "no account"},
		{r.ID == ID{}, "no id"},
		{r.Epoch == 0 || r.Epoch>>sequenceBitsMax != 0, "epoch out of range"},
		{r.Kind.Sequenced() && r.Sequence == 0 || fence && r.Sequence != 0 || r.Sequence>>sequenceBitsMax != 0, "sequence out of range"},
		{!r.Kind.Sequenced() && r.Previous != ID{}, "an id of the record before"},
		{r.Writer == "" || len(r.Writer) > fqdnBytesMax, "no writer, or too long a one"},
		{(r.Mailstore != "") != names || len(r.Mailstore) > fqdnBytesMax, "no mailstore, or one too many or too long"},
		{(r.Join != ID{}) != fence, "no join, or one too many"},
		{!fence && (r.AcceptLoss || r.Operation != ""), "fields of a Fence"},
		{len(r.Operation) > operationBytes, "operation too long"},
		{r.Part == 0 || r.Part > r.Parts || r.Parts > partsMax, "parts out of range"},
		{r.Kind != Change && r.Parts != 1, "parts of no change"},
		{(r.Kind == Change) != (len(r.Payload) > 0) || len(r.Payload) > PartBytesMax, "no payload, or one too many or too large"},
	} {
		if rule.broken {
			return fault.New(fault.Invalid, "malformed record %s of account %s: %s", r.Kind, r.Account, rule.text)
		}
	}
	return nil
}
