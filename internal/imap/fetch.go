package imap

import (
	"slices"

	"mailreplica/internal/fault"
	"mailreplica/internal/imap/wire"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/message"
)

// fetchPlan is what is to be told of each message.
type fetchPlan struct {
	items    []wire.FetchItem
	labels   []string // of the items that have a section
	filters  []filter // of the items that filter a header
	contents bool     // contents are needed
	parts    bool     // the structures in them, beside the envelopes
	bodies   bool     // blobs are needed
	seen     bool     // \Seen is set
	decoder  message.Decoder
	opening  opening // used again for each message, as decoder and pieces are
	pieces   []piece
}

func (s *session) planFetch(args *wire.Fetch) (*fetchPlan, error) {
	p := &fetchPlan{items: args.Items}
	if args.UID {
		p.need(wire.FetchUID) // RFC 3501 section 6.4.8
	}
	if args.HasChangedSince || s.condstore && p.has(wire.FetchFlags) {
		p.need(wire.FetchModSeq) // RFC 7162 sections 3.1 and 3.1.4.1
	}
	if p.has(wire.FetchModSeq) {
		if err := s.enableCondstore(); err != nil {
			return nil, err
		}
	}
	p.labels, p.filters = make([]string, len(p.items)), make([]filter, len(p.items))
	for i, item := range p.items {
		p.filters[i] = filterOf(item.Section)
		switch item.Kind {
		case wire.FetchEnvelope:
			p.contents = true
		case wire.FetchBody, wire.FetchBodyStructure:
			p.parts = true
		case wire.FetchRFC822, wire.FetchRFC822Text:
			p.bodies, p.seen = true, true
		case wire.FetchRFC822Header:
			p.bodies = true
		case wire.FetchBodySection, wire.FetchBinary, wire.FetchBinarySize:
			p.bodies = true
			p.seen = p.seen || !item.Peek
		}
		p.labels[i] = item.Label()
	}
	p.parts = p.parts || p.bodies
	p.contents = p.contents || p.parts
	p.seen = p.seen && !s.view.readOnly
	return p, nil
}

func (p *fetchPlan) has(kind wire.FetchKind) bool {
	return slices.ContainsFunc(p.items, func(item wire.FetchItem) bool { return item.Kind == kind })
}

// need adds an item that the client did not name but must be told.
func (p *fetchPlan) need(kind wire.FetchKind) {
	if !p.has(kind) {
		p.items = append([]wire.FetchItem{{Kind: kind}}, p.items...)
	}
}

// fetch answers FETCH and UID FETCH (RFC 3501 section 6.4.5, RFC 3516, RFC 7162).
func (s *session) fetch(c *wire.Command) (outcome, error) {
	args := c.Args.(*wire.Fetch)
	if args.Vanished && !s.qresync {
		return outcome{status: wire.BAD, text: "ENABLE QRESYNC first"}, nil
	}
	spans, err := s.spans(c, args.Set, args.UID)
	if err != nil {
		return outcome{}, err
	}
	plan, err := s.planFetch(args)
	if err != nil {
		return outcome{}, err
	}
	if args.HasChangedSince {
		if spans, err = s.changedAmong(spans, args); err != nil {
			return outcome{}, err
		}
	}
	var unseen []mailbox.UID
	var failure error // of some messages; the others are told all the same
	missing, err := s.read(s.ctx, spans, plan.contents, func(targets []target) error {
		for i := range targets {
			if plan.seen && !targets[i].message.Flags.Has(mailbox.Seen) {
				unseen = append(unseen, targets[i].message.UID)
			}
		}
		err := s.writeTargets(plan, targets)
		if err != nil && s.out.Err() == nil && concernsOneMessage(err) {
			failure, err = err, nil
		}
		return err
	})
	if err != nil {
		return outcome{}, err
	}
	s.markSeen(unseen)
	switch {
	case failure == errUnknownEncoding:
		return outcome{status: wire.NO, code: "UNKNOWN-CTE", text: errUnknownEncoding.Message}, nil
	case failure != nil:
		return outcome{}, failure
	case missing > 0:
		return outcome{code: "EXPUNGEISSUED", text: "Some of the messages are gone"}, nil // RFC 5530
	}
	return outcome{text: "Fetched"}, nil
}

// concernsOneMessage tells errors that say nothing of other messages from those that would meet them too.
func concernsOneMessage(err error) bool {
	return fault.Is(err, fault.Invalid) || fault.Is(err, fault.NotFound) || fault.Is(err, fault.Internal)
}

func withTag(err error, tag string) error {
	if syntax, ok := err.(*wire.SyntaxError); ok {
		return &wire.SyntaxError{Tag: tag, Text: syntax.Text, TooBig: syntax.TooBig}
	}
	return err
}

// writeTargets writes the responses. The error of one message, found before anything of it was written, leaves the others
// alone; the first is returned.
func (s *session) writeTargets(plan *fetchPlan, targets []target) error {
	var first error
	for i := range targets {
		err := s.writeTarget(plan, &targets[i])
		switch {
		case s.out.Err() != nil:
			return s.out.Err()
		case err != nil && !concernsOneMessage(err):
			return err
		case err != nil && first == nil:
			first = err
		}
	}
	return first
}

// decode reads as much of a summary as is told.
func (p *fetchPlan) decode(text []byte) (*message.Summary, error) {
	switch {
	case p.parts:
		return p.decoder.Decode(text)
	case p.contents:
		return p.decoder.Envelope(text)
	}
	return nil, nil
}

func (s *session) writeTarget(plan *fetchPlan, t *target) error {
	summary, err := plan.decode(t.content.Summary)
	if err != nil {
		return err
	}
	var pieces []piece
	if plan.bodies {
		plan.opening = opening{session: s, content: t.content, summary: summary, exact: true}
		defer plan.opening.close()
		if pieces, err = s.preparePieces(plan); err != nil {
			return err
		}
	}
	s.announce(t.message)
	s.out.Raw("* ")
	s.out.Number(uint64(t.at + 1))
	s.out.Raw(" FETCH (")
	for i, item := range plan.items {
		if i > 0 {
			s.out.Raw(" ")
		}
		var err error
		if pieces != nil && pieces[i].present {
			err = s.writePiece(plan.labels[i], &pieces[i])
		} else {
			s.writeItem(item, t, summary)
		}
		if err != nil {
			return err
		}
	}
	s.out.Raw(")")
	s.out.CRLF()
	return s.out.Err()
}

func (s *session) writeItem(item wire.FetchItem, t *target, summary *message.Summary) {
	switch item.Kind {
	case wire.FetchFlags:
		s.out.Raw("FLAGS ")
		s.writeFlags(&t.message)
	case wire.FetchUID:
		s.out.Raw("UID ")
		s.out.Number(uint64(t.message.UID))
	case wire.FetchModSeq:
		s.out.Raw("MODSEQ (")
		s.out.Number(uint64(max(t.message.ModSeq, 1)))
		s.out.Raw(")")
	case wire.FetchInternalDate:
		s.out.Raw("INTERNALDATE ")
		s.out.InternalDate(t.message.InternalDate, t.message.DateZone)
	case wire.FetchRFC822Size:
		s.out.Raw("RFC822.SIZE ")
		s.out.Number(t.message.Size)
	case wire.FetchEnvelope:
		s.out.Raw("ENVELOPE ")
		writeEnvelope(s.out, &summary.Envelope)
	case wire.FetchBody:
		s.out.Raw("BODY ")
		writeStructure(s.out, &summary.Root, false)
	case wire.FetchBodyStructure:
		s.out.Raw("BODYSTRUCTURE ")
		writeStructure(s.out, &summary.Root, true)
	}
}
