package imap

import (
	"slices"
	"time"

	"mailreplica/internal/fault"
	"mailreplica/internal/imap/wire"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/message"
)

// verdict is what a key says of a message.
type verdict int8

const (
	no verdict = iota
	yes
	unknown // more of the message has to be read
)

func verdictOf(matches bool) verdict {
	if matches {
		return yes
	}
	return no
}

// candidate is a message that is being searched, as much of it as has been read. It serves one message after the other.
type candidate struct {
	session *session
	decoder *message.Decoder
	at      int
	message *mailbox.Message
	text    []byte              // the encoded summary; nil until read
	known   *message.Envelope   // of text; nil until asked for
	opening *opening            // nil until more than the summary may be read
	values  map[string][]string // of fields of the header
	err     error               // of reading the summary or the body, the first: the verdict is worth nothing then
}

// envelope is nil while the summary has not been read.
func (c *candidate) envelope() *message.Envelope {
	if c.known != nil || c.text == nil || c.err != nil {
		return c.known
	}
	summary, err := c.decoder.Envelope(c.text)
	if err != nil {
		c.fail(err)
		return nil
	}
	c.known = &summary.Envelope
	return c.known
}

// fail notes an error.
func (c *candidate) fail(err error) verdict {
	if c.err == nil {
		c.err = err
	}
	return no
}

// mayGoOn reports whether another key may be looked for in the body: a client can ask for many of a large message.
func (c *candidate) mayGoOn() bool {
	if err := c.session.mayGoOn(); err != nil {
		c.fail(err)
	}
	return c.err == nil
}

// fields gives the values of a field of the message's header, decoded and folded. A large header is read once for all keys, and each
// field is decoded once.
func (c *candidate) fields(k headerMatcher) ([]string, error) {
	name := k.field
	values, known := c.values[name]
	if known {
		return values, nil
	}
	header, err := c.headerWith(k.names)
	if err != nil {
		return nil, err
	}
	values = fieldValues(header, name)
	c.values[name] = values
	return values, nil
}

// headerWith gives the header, or as much of it as has all fields of some names.
func (c *candidate) headerWith(names []string) ([]byte, error) {
	m := c.opening
	text, ok, err := m.session.mailbox.Fields(m.session.ctx, m.content, names)
	if ok || err != nil {
		return text, err
	}
	summary, err := m.decoded()
	if err != nil {
		return nil, err
	}
	return m.headerAt(0, min(summary.Root.HeaderSize, headerBytesMax))
}

// matcher is a search key made ready.
type matcher interface{ match(*candidate) verdict }

type (
	andMatcher  []matcher
	orMatcher   struct{ left, right matcher }
	notMatcher  struct{ key matcher }
	setMatcher  struct{ spans []span }
	rowMatcher  func(*candidate) bool // decided by the message's row
	sentMatcher struct {
		op   wire.DateOp
		date wire.Date
	}
	headerMatcher struct {
		field  string   // lower case
		names  []string // the field
		needle string   // folded; empty asks whether the field exists
	}
	textMatcher struct {
		bodyOnly bool
		needle   string // folded
	}
)

func (k andMatcher) match(c *candidate) verdict {
	result := yes
	for _, part := range k {
		switch part.match(c) {
		case no:
			return no
		case unknown:
			result = unknown
		}
	}
	return result
}

func (k orMatcher) match(c *candidate) verdict {
	left := k.left.match(c)
	if left == yes {
		return yes
	}
	if right := k.right.match(c); right != no {
		return right
	}
	return left
}

func (k notMatcher) match(c *candidate) verdict {
	switch k.key.match(c) {
	case yes:
		return no
	case no:
		return yes
	}
	return unknown
}

func (k setMatcher) match(c *candidate) verdict {
	_, inside := slices.BinarySearchFunc(k.spans, c.at, func(p span, at int) int {
		switch {
		case p.to <= at:
			return -1
		case p.from > at:
			return 1
		}
		return 0
	})
	return verdictOf(inside)
}

func (k rowMatcher) match(c *candidate) verdict { return verdictOf(k(c)) }

func (k sentMatcher) match(c *candidate) verdict {
	e := c.envelope()
	if e == nil {
		return unknown
	}
	sent, ok := message.SentDate(e.Date)
	return verdictOf(ok && compareDate(k.op, wire.DateOf(sent), k.date))
}

// onDay asks for the day of INTERNALDATE, in the zone that it was given in.
func onDay(op wire.DateOp, day int64) func(*candidate) bool {
	begin, end := day*wire.SecondsPerDay, (day+1)*wire.SecondsPerDay
	return func(c *candidate) bool {
		local := c.message.InternalDate + 60*int64(c.message.DateZone)
		switch op {
		case wire.DateBefore:
			return local < begin
		case wire.DateOn:
			return begin <= local && local < end
		default:
			return local >= begin
		}
	}
}

func compareDate(op wire.DateOp, have, asked wire.Date) bool {
	switch order := have.Compare(asked); op {
	case wire.DateBefore:
		return order < 0
	case wire.DateOn:
		return order == 0
	default:
		return order >= 0
	}
}

// compile makes keys ready: sets are resolved now, against the view as it is.
func (s *session) compile(key wire.SearchKey) (matcher, error) {
	switch key := key.(type) {
	case wire.AllKey:
		return setMatcher{[]span{{0, s.view.uids.len()}}}, nil
	case wire.AndKey:
		var all andMatcher
		for _, part := range key {
			k, err := s.compile(part)
			if err != nil {
				return nil, err
			}
			all = append(all, k)
		}
		return cheapFirst(all), nil
	case wire.OrKey:
		left, err := s.compile(key.Left)
		if err != nil {
			return nil, err
		}
		right, err := s.compile(key.Right)
		return orMatcher{left, right}, err
	case wire.NotKey:
		k, err := s.compile(key.Key)
		return notMatcher{k}, err
	case wire.SetKey:
		return setMatcher{s.searchSet(key)}, nil
	case wire.HeaderKey:
		field := lowerName(key.Field)
		return headerMatcher{field, []string{field}, fold(key.Value)}, nil
	case wire.TextKey:
		return textMatcher{key.BodyOnly, fold(key.Value)}, nil
	case wire.DateKey:
		if key.Sent {
			return sentMatcher{key.Op, key.Date}, nil
		}
	}
	if k := s.compileRow(key); k != nil {
		return k, nil
	}
	return nil, fault.New(fault.Internal, "search key %T is not known", key)
}

// searchSet finds messages without complaint: a number beyond the last matches nothing.
func (s *session) searchSet(key wire.SetKey) []span {
	switch {
	case key.Set.Saved:
		return s.view.spansOf(s.view.saved)
	case key.UID:
		return s.view.spansOfUIDs(key.Set.Nums)
	}
	return s.view.spansOfNumbers(key.Set.Nums)
}

func (s *session) compileRow(key wire.SearchKey) matcher {
	switch key := key.(type) {
	case wire.FlagKey:
		return rowMatcher(s.hasFlag(key.Flag))
	case wire.DateKey:
		return rowMatcher(onDay(key.Op, key.Date.Number()))
	case wire.SizeKey:
		return rowMatcher(func(c *candidate) bool {
			if key.Larger {
				return c.message.Size > key.Size
			}
			return c.message.Size < key.Size
		})
	case wire.AgeKey:
		limit := time.Now().Unix() - int64(key.Seconds)
		return rowMatcher(func(c *candidate) bool {
			if key.Older {
				return c.message.InternalDate <= limit
			}
			return c.message.InternalDate >= limit
		})
	case wire.ModSeqKey:
		return rowMatcher(func(c *candidate) bool { return uint64(c.message.ModSeq) >= key.ModSeq })
	}
	return nil
}

func (s *session) hasFlag(name string) func(*candidate) bool {
	if name == wire.FlagRecent {
		return func(c *candidate) bool { return s.view.isRecent(c.message.UID) }
	}
	asked := flagsOf([]string{name})
	if asked.System != 0 {
		return func(c *candidate) bool { return c.message.Flags.Has(asked.System) }
	}
	return func(c *candidate) bool { return c.message.Flags.HasKeyword(name) }
}

// cheapFirst puts keys that need the body behind those that do not.
func cheapFirst(keys andMatcher) andMatcher {
	slices.SortStableFunc(keys, func(a, b matcher) int { return cost(a) - cost(b) })
	return keys
}

func cost(k matcher) int {
	switch k := k.(type) {
	case textMatcher:
		return 3
	case headerMatcher:
		return 2
	case sentMatcher:
		return 1
	case notMatcher:
		return cost(k.key)
	case orMatcher:
		return max(cost(k.left), cost(k.right))
	case andMatcher:
		most := 0
		for _, part := range k {
			most = max(most, cost(part))
		}
		return most
	}
	return 0
}
