package imap

import (
	"slices"
	"time"

	"mailreplica/internal/imap/wire"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/message"
)

// search answers SEARCH and UID SEARCH (RFC 3501 section 6.4.4, RFC 4731, RFC 5032, RFC 5182, RFC 7162).
func (s *session) search(c *wire.Command) (outcome, error) {
	args := c.Args.(*wire.Search)
	o, err := s.answerSearch(c.Tag, args)
	if args.Return != nil && args.Return.Save && (err != nil || o.status == wire.NO) {
		s.view.saved = nil // RFC 5182 section 2.1
	}
	return o, err
}

func (s *session) answerSearch(tag string, args *wire.Search) (outcome, error) {
	switch args.Charset {
	case "", "UTF-8", "US-ASCII":
	default:
		return outcome{status: wire.NO, code: "BADCHARSET (UTF-8 US-ASCII)", text: "The charset is not supported"}, nil
	}
	if args.ModSeq {
		if err := s.enableCondstore(); err != nil {
			return outcome{}, err
		}
	}
	f, err := s.find(args)
	if err != nil {
		return outcome{}, err
	}
	if args.Return == nil {
		s.tellSearch(f, args)
		return outcome{text: "Searched"}, nil
	}
	if args.Return.Save {
		s.view.saved = f.toSave(s.view, args.Return)
	}
	if *args.Return != (wire.SearchReturn{Save: true}) {
		s.tellESearch(tag, f, args)
	}
	return outcome{text: "Searched"}, nil
}

// found is the result of a search.
type found struct {
	at                         []uint32 // indexes in the view, ascending
	first, last, highestModSeq mailbox.Sequence

	told time.Time // when the client was last told that the search goes on
}

func (f *found) add(at int, modSeq mailbox.Sequence) {
	if len(f.at) == 0 {
		f.first = modSeq
	}
	f.last = modSeq
	f.highestModSeq = max(f.highestModSeq, modSeq)
	f.at = append(f.at, uint32(at))
}

// number is what a result is called: the message's UID or its sequence number.
func (s *session) number(at uint32, uid bool) uint32 {
	if uid {
		return uint32(s.view.uids.at(int(at)))
	}
	return at + 1
}

func (s *session) tellSearch(f found, args *wire.Search) {
	s.out.Raw("* SEARCH")
	for _, at := range f.at {
		s.out.Raw(" ")
		s.out.Number(uint64(s.number(at, args.UID)))
	}
	if args.ModSeq && len(f.at) > 0 {
		s.out.Raw(" (MODSEQ ")
		s.out.Number(uint64(f.highestModSeq))
		s.out.Raw(")")
	}
	s.out.CRLF()
}

func (s *session) tellESearch(tag string, f found, args *wire.Search) {
	s.out.Raw("* ESEARCH (TAG ")
	s.out.String(tag)
	s.out.Raw(")")
	if args.UID {
		s.out.Raw(" UID")
	}
	r := args.Return
	if n := len(f.at); n > 0 {
		if r.Min {
			s.tellNumber(" MIN ", uint64(s.number(f.at[0], args.UID)))
		}
		if r.Max {
			s.tellNumber(" MAX ", uint64(s.number(f.at[n-1], args.UID)))
		}
		if r.All {
			var set wire.NumSet
			for _, at := range f.at {
				set = set.Append(s.number(at, args.UID))
			}
			s.out.Raw(" ALL ")
			s.out.NumSet(set)
		}
	}
	if r.Count {
		s.tellNumber(" COUNT ", uint64(len(f.at)))
	}
	if args.ModSeq && len(f.at) > 0 {
		s.tellNumber(" MODSEQ ", uint64(f.modSeq(r)))
	}
	s.out.CRLF()
}

func (s *session) tellNumber(name string, n uint64) {
	s.out.Raw(name)
	s.out.Number(n)
}

// modSeq is the highest of the messages that the answer names (RFC 7162 section 3.1.10).
func (f *found) modSeq(r *wire.SearchReturn) mailbox.Sequence {
	switch {
	case r.All || r.Count || !r.Min && !r.Max:
		return f.highestModSeq
	case r.Min && r.Max:
		return max(f.first, f.last)
	case r.Min:
		return f.first
	}
	return f.last
}

// toSave is what "$" will stand for (RFC 5182 section 2.1): all that was found, or MIN and MAX where only they were asked
// for.
func (f *found) toSave(v *view, r *wire.SearchReturn) []mailbox.UID {
	at := f.at
	if n := len(at); n > 0 && (r.Min || r.Max) && !r.All && !r.Count {
		var some []uint32
		if r.Min {
			some = append(some, at[0])
		}
		if r.Max && (n > 1 || !r.Min) {
			some = append(some, at[n-1])
		}
		at = some
	}
	uids := make([]mailbox.UID, len(at))
	for i, index := range at {
		uids[i] = v.uids.at(int(index))
	}
	return uids
}

// find runs a search. Keys that the message's row answers are asked first, of all messages; then the summary of those
// still undecided; then the body.
func (s *session) find(args *wire.Search) (found, error) {
	f := found{told: time.Now()}
	spans := []span{{0, s.view.uids.len()}}
	if spans[0].to == 0 {
		return f, nil
	}
	k, err := s.compile(args.Key)
	if err != nil {
		return f, err
	}
	if set, ok := k.(setMatcher); ok && !args.ModSeq { // answered without looking at any message
		for _, p := range set.spans {
			for at := p.from; at < p.to; at++ {
				f.add(at, 0)
			}
		}
		return f, nil
	}
	if narrowed, ok := narrow(k); ok {
		spans = narrowed
	}
	if cost(k) == 0 {
		err := s.matchRows(k, spans, &f)
		return f, err
	}
	r := searchReader{candidate: candidate{session: s, values: map[string][]string{}}}
	_, err = s.read(s.ctx, spans, false, func(targets []target) error {
		return s.matchTargets(k, targets, &f, &r)
	})
	return f, err
}

// narrow finds messages outside of which a search cannot match.
func narrow(k matcher) ([]span, bool) {
	switch k := k.(type) {
	case setMatcher:
		return k.spans, true
	case andMatcher:
		for _, part := range k {
			if spans, ok := narrow(part); ok {
				return spans, true
			}
		}
	}
	return nil, false
}

// rowsMax bounds the messages of which only the rows are looked at before a search looks whether its client is still there.
const rowsMax = 64 << 10

// matchRows decides messages by their rows alone, as they are read.
func (s *session) matchRows(k matcher, spans []span, f *found) error {
	c := candidate{session: s}
	for len(spans) > 0 {
		if err := s.goOn(f); err != nil {
			return err
		}
		var now []span
		now, spans = cutSpans(spans, rowsMax)
		err := s.mailbox.View(s.ctx, func(r mailbox.Reader) error {
			return s.view.each(r, now, func(at int, m *mailbox.Message) {
				c.at, c.message = at, m
				if k.match(&c) == yes {
					f.add(at, m.ModSeq)
				}
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// searchReader is what a search uses again and again.
type searchReader struct {
	decoder   message.Decoder // of envelopes
	whole     message.Decoder
	candidate candidate
	opening   opening
	verdicts  []verdict
	undecided []*target
	contents  contentReader
}

// look makes a message the candidate.
func (r *searchReader) look(t *target) *candidate {
	if len(r.candidate.values) > 0 {
		clear(r.candidate.values)
	}
	r.candidate = candidate{
		session: r.candidate.session, decoder: &r.decoder, at: t.at, message: &t.message, values: r.candidate.values,
	}
	return &r.candidate
}

// matchTargets decides messages in order. Those that need more than their row are looked at some at a time, so that the
// summaries held are few.
func (s *session) matchTargets(k matcher, targets []target, f *found, r *searchReader) error {
	r.verdicts, r.undecided = r.verdicts[:0], r.undecided[:0]
	for i := range targets {
		verdict := k.match(r.look(&targets[i]))
		r.verdicts = append(r.verdicts, verdict)
		if verdict == unknown {
			r.undecided = append(r.undecided, &targets[i])
		}
	}
	for now := range slices.Chunk(r.undecided, targetsContentMax) {
		err := s.mailbox.View(s.ctx, func(rows mailbox.Reader) error { return r.contents.read(rows, now) })
		if err != nil {
			return err
		}
		for _, t := range now {
			if err := s.goOn(f); err != nil {
				return err
			}
			if t.verdict, err = s.matchContent(k, t, r); err != nil {
				return err
			}
			t.content = mailbox.Content{}
		}
	}
	for i, verdict := range r.verdicts {
		if verdict == unknown {
			verdict = targets[i].verdict
		}
		if verdict == yes {
			f.add(targets[i].at, targets[i].message.ModSeq)
		}
	}
	return nil
}

// goOn tells a client now and then that its search goes on, so that it waits. A client that has left is noticed so, and a
// session that must end does not search on: bodies are read as fast as the volume gives them, for nobody.
func (s *session) goOn(f *found) error {
	if err := s.mayGoOn(); err != nil {
		return err
	}
	if time.Since(f.told) < s.server.config.ProgressEvery {
		return nil
	}
	f.told = time.Now()
	s.out.UntaggedStatus(wire.OK, "", "Searching")
	return s.out.Flush()
}

func (s *session) matchContent(k matcher, t *target, r *searchReader) (verdict, error) {
	if t.content.ID == 0 { // the message was expunged meanwhile
		return no, nil
	}
	c := r.look(t)
	c.text = t.content.Summary
	v := k.match(c)
	if v != unknown || c.err != nil {
		return v, c.err
	}
	r.opening = opening{session: s, content: t.content, decoder: &r.whole}
	defer r.opening.close()
	c.opening = &r.opening
	v = k.match(c)
	return v, c.err
}
