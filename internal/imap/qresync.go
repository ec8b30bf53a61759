package imap

import (
	"iter"

	"mailreplica/internal/imap/wire"
	"mailreplica/internal/mailbox"
)

// enableCondstore turns mod-sequences on; a client that does so within a folder is told where it is (RFC 7162 section 3.1).
func (s *session) enableCondstore() error {
	if s.condstore {
		return nil
	}
	if s.view != nil {
		code, err := s.highestModSeqCode()
		if err != nil {
			return err
		}
		s.out.UntaggedStatus(wire.OK, code, "Highest mod-sequence")
	}
	s.condstore = true
	return nil
}

// highestModSeqCode is HIGHESTMODSEQ of the selected folder, but no further than the client has been told of everything:
// it will ask only for what is later.
func (s *session) highestModSeqCode() (string, error) {
	v := s.view
	told := v.seen
	if len(v.gone) > 0 {
		told = min(told, v.heldAt)
	}
	var folder mailbox.Folder
	err := s.mailbox.View(s.ctx, func(r mailbox.Reader) (err error) {
		folder, _, err = r.Folder(v.folder)
		return err
	})
	folder.HighestSeq = min(folder.HighestSeq, told)
	return wire.CodeNumber("HIGHESTMODSEQ", highestModSeq(folder)), err
}

// compare finds what a client missed that was here at q.ModSeq (RFC 7162 section 3.2.5).
func (o *opened) compare(r mailbox.Reader, q *wire.QResync) error {
	known := wire.NumSet{{Start: 1, Stop: uint32(uidMax)}}
	if q.Known != nil {
		known = q.Known.Resolve(0)
	}
	vanished, err := vanishedSince(r, o.folder, &o.view.uids, known, mailbox.Sequence(q.ModSeq), o.view.matched(q))
	if err != nil {
		return err
	}
	o.vanished = vanished
	return r.ChangedSince(o.folder.ID, mailbox.Sequence(q.ModSeq), func(m mailbox.Message) bool {
		if known.Contains(uint32(m.UID)) {
			o.changed = append(o.changed, m.UID)
		}
		return true
	})
}

// matched is the last UID up to which the client's messages are those of the view: of the pairs that it knows, the last
// whose number and UID still belong together. Nothing can have vanished before it.
func (v *view) matched(q *wire.QResync) mailbox.UID {
	var last mailbox.UID
	next, stop := iter.Pull(iter.Seq[uint32](q.MatchUIDs.Resolve(0).All))
	defer stop()
	for number := range q.MatchSeqs.Resolve(0).All {
		uid, ok := next()
		if !ok || int(number) > v.uids.len() {
			break
		}
		if v.uids.at(int(number)-1) == mailbox.UID(uid) {
			last = max(last, mailbox.UID(uid))
		}
	}
	return last
}

// vanishedSince gives the known UIDs of messages that were expunged after since, those of the view (which the client counts
// still) aside. Where tombstones have been pruned it says all that are known and do not exist, which RFC 7162 section
// 3.2.10.1 allows: the client ignores those it never had.
func vanishedSince(r mailbox.Reader, f mailbox.Folder, uids *numbering, known wire.NumSet, since mailbox.Sequence, matched mailbox.UID) (wire.NumSet, error) {
	var vanished wire.NumSet
	if since >= f.PrunedUpTo {
		err := r.Tombstones(f.ID, since, func(t mailbox.Tombstone) bool {
			if known.Contains(uint32(t.UID)) && !uids.has(t.UID) {
				vanished = vanished.Append(uint32(t.UID))
			}
			return true
		})
		return vanished, err
	}
	last := uint32(f.UIDNext - 1)
	for _, k := range known {
		from, to := max(k.Start, uint32(matched)+1), min(k.Stop, last)
		at, _ := uids.index(mailbox.UID(from))
		for ; at < uids.len() && uint32(uids.at(at)) <= to; at++ {
			uid := uint32(uids.at(at))
			if from < uid {
				vanished = append(vanished, wire.Range{Start: from, Stop: uid - 1})
			}
			from = uid + 1
		}
		if from <= to {
			vanished = append(vanished, wire.Range{Start: from, Stop: to})
		}
	}
	return vanished, nil
}

// resynchronise tells a returning client what changed, and only that.
func (s *session) resynchronise(o opened) error {
	s.tellVanishedEarlier(o.vanished)
	plan := &fetchPlan{items: []wire.FetchItem{{Kind: wire.FetchUID}, {Kind: wire.FetchFlags}, {Kind: wire.FetchModSeq}}}
	_, err := s.read(s.ctx, o.view.spansOf(o.changed), false, func(targets []target) error {
		return s.writeTargets(plan, targets)
	})
	return err
}

func (s *session) tellVanishedEarlier(vanished wire.NumSet) {
	if len(vanished) == 0 {
		return
	}
	s.out.Raw("* VANISHED (EARLIER) ")
	s.out.NumSet(vanished)
	s.out.CRLF()
}

// changedAmong narrows messages down to those changed since the client's mod-sequence, and says which of the UIDs that it
// asked for vanished since, if it wants to know (RFC 7162 sections 3.1.4.1 and 3.2.6).
func (s *session) changedAmong(spans []span, args *wire.Fetch) ([]span, error) {
	v := s.view
	since := mailbox.Sequence(args.ChangedSince)
	var changed []mailbox.UID
	var vanished wire.NumSet
	err := s.mailbox.View(s.ctx, func(r mailbox.Reader) error {
		changed, vanished = nil, nil
		err := r.ChangedSince(v.folder, since, func(m mailbox.Message) bool {
			changed = append(changed, m.UID)
			return true
		})
		if err != nil || !args.Vanished {
			return err
		}
		folder, found, err := r.Folder(v.folder)
		if err != nil || !found {
			return err
		}
		known := args.Set.Nums.Resolve(uint32(max(v.uidNext-1, 1)))
		vanished, err = vanishedSince(r, folder, &v.uids, known, since, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.tellVanishedEarlier(vanished)
	return intersectSpans(spans, v.spansOf(changed)), nil
}

// intersectSpans gives what both ascending lists hold.
func intersectSpans(a, b []span) []span {
	var both []span
	for len(a) > 0 && len(b) > 0 {
		both = appendSpan(both, span{max(a[0].from, b[0].from), min(a[0].to, b[0].to)})
		if a[0].to < b[0].to {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return both
}
