package imap

import (
	"context"
	"slices"

	"mailreplica/internal/imap/wire"
	"mailreplica/internal/mailbox"
)

// errBeyond answers a sequence number that the client cannot have been told of.
var errBeyond = &wire.SyntaxError{Text: "Sequence number beyond the last message"}

// spans finds the messages of a set in the view, ascending, neighbours joined. UIDs that are not there are passed over
// (RFC 3501 section 6.4.8); sequence numbers that are not there are the client's error.
func (s *session) spans(c *wire.Command, set wire.SequenceSet, uid bool) ([]span, error) {
	v := s.view
	switch {
	case set.Saved:
		return v.spansOf(v.saved), nil
	case uid:
		return v.spansOfUIDs(set.Nums), nil
	}
	last := uint32(v.uids.len())
	for _, r := range set.Nums {
		if r.Start > last && r.Stop != 0 || r.Stop > last && r.Start != 0 {
			return nil, &wire.SyntaxError{Tag: c.Tag, Text: errBeyond.Text}
		}
	}
	return v.spansOfNumbers(set.Nums), nil
}

func (v *view) spansOfNumbers(set wire.NumSet) []span {
	var spans []span
	last := uint32(v.uids.len())
	for _, r := range set.Resolve(last) {
		spans = appendSpan(spans, span{int(r.Start) - 1, int(min(r.Stop, last))})
	}
	return spans
}

func (v *view) spansOfUIDs(set wire.NumSet) []span {
	var spans []span
	for _, r := range set.Resolve(uint32(v.uids.last())) {
		from, _ := v.index(mailbox.UID(r.Start))
		to, found := v.index(mailbox.UID(r.Stop))
		if found {
			to++
		}
		spans = appendSpan(spans, span{from, to})
	}
	return spans
}

func (v *view) spansOf(uids []mailbox.UID) []span {
	var spans []span
	for _, uid := range uids {
		if at, known := v.index(uid); known {
			spans = appendSpan(spans, span{at, at + 1})
		}
	}
	return spans
}

func appendSpan(spans []span, s span) []span {
	if s.from >= s.to {
		return spans
	}
	if n := len(spans); n > 0 && spans[n-1].to >= s.from {
		spans[n-1].to = max(spans[n-1].to, s.to)
		return spans
	}
	return append(spans, s)
}

// uidsIn lists the UIDs of spans.
func (v *view) uidsIn(spans []span) []mailbox.UID {
	if len(spans) == 1 {
		return v.uids.slice(spans[0].from, spans[0].to)
	}
	var uids []mailbox.UID
	for _, p := range spans {
		uids = append(uids, v.uids.slice(p.from, p.to)...)
	}
	return uids
}

// target is a message that a command looks at.
type target struct {
	at      int // index in the view
	message mailbox.Message
	content mailbox.Content // if asked for
	verdict verdict         // of a search that had to look into the content
}

// Messages read in one snapshot: a slow client must not hold one open.
const (
	targetsMax        = 4096
	targetsContentMax = 256
)

// read gives visit the messages of spans that exist, in order and some at a time, outside of the snapshot they were read
// in. It reports how many do not exist any more.
func (s *session) read(ctx context.Context, spans []span, contents bool, visit func([]target) error) (missing int, err error) {
	chunk := targetsMax
	if contents {
		chunk = targetsContentMax
	}
	var targets []target
	var reader targetReader
	for len(spans) > 0 {
		var now []span
		now, spans = cutSpans(spans, chunk)
		wanted := 0
		for _, p := range now {
			wanted += p.to - p.from
		}
		err := s.mailbox.View(ctx, func(r mailbox.Reader) (err error) {
			targets, err = reader.read(r, s.view, now, contents, targets[:0])
			return err
		})
		if err != nil {
			return missing, err
		}
		missing += wanted - len(targets)
		if err := visit(targets); err != nil {
			return missing, err
		}
	}
	return missing, nil
}

// cutSpans takes spans of about n messages off the front.
func cutSpans(spans []span, n int) (front, rest []span) {
	for i, p := range spans {
		if p.to-p.from > n {
			front = append(slices.Clone(spans[:i]), span{p.from, p.from + n})
			rest = append([]span{{p.from + n, p.to}}, spans[i+1:]...)
			return front, rest
		}
		if n -= p.to - p.from; n == 0 {
			return spans[:i+1], spans[i+1:]
		}
	}
	return spans, nil
}

// targetReader holds what reading some messages and then others needs.
type targetReader struct {
	contents contentReader
	of       []*target
}

func (t *targetReader) read(r mailbox.Reader, v *view, spans []span, contents bool, targets []target) ([]target, error) {
	targets, err := v.readTargets(r, spans, targets)
	if err != nil || !contents {
		return targets, err
	}
	t.of = t.of[:0]
	for i := range targets {
		t.of = append(t.of, &targets[i])
	}
	if err := t.contents.read(r, t.of); err != nil {
		return nil, err
	}
	for i := range targets {
		if targets[i].content.ID == 0 {
			return nil, errNoContent
		}
	}
	return targets, nil
}

func (v *view) readTargets(r mailbox.Reader, spans []span, targets []target) ([]target, error) {
	err := v.each(r, spans, func(at int, m *mailbox.Message) {
		targets = append(targets, target{at: at, message: *m})
	})
	return targets, err
}

// each yields the messages of spans that exist, and where they are in the view. A message is good until yield returns.
func (v *view) each(r mailbox.Reader, spans []span, yield func(at int, m *mailbox.Message)) error {
	for _, p := range spans {
		if p.to-p.from == 1 {
			m, found, err := r.Message(v.folder, v.uids.at(p.from))
			if err != nil {
				return err
			}
			if found {
				yield(p.from, &m)
			}
			continue
		}
		var now mailbox.Message
		err := r.Messages(v.folder, v.uids.at(p.from), v.uids.at(p.to-1), func(m mailbox.Message) bool {
			if at, known := v.uids.index(m.UID); known {
				now = m
				yield(at, &now)
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}
