package imap

import (
	"mailreplica/internal/imap/wire"
	"mailreplica/internal/mailbox"
)

var flagOps = map[wire.StoreOp]mailbox.FlagOp{
	wire.StoreReplace: mailbox.ReplaceFlags, wire.StoreAdd: mailbox.AddFlags, wire.StoreRemove: mailbox.RemoveFlags,
}

var readOnlyMailbox = outcome{status: wire.NO, code: "CANNOT", text: "The mailbox was opened read-only"}

// store answers STORE and UID STORE (RFC 3501 section 6.4.6, RFC 7162 section 3.1.3).
func (s *session) store(c *wire.Command) (outcome, error) {
	args := c.Args.(*wire.Store)
	v := s.view
	if v.readOnly {
		return readOnlyMailbox, nil
	}
	spans, err := s.spans(c, args.Set, args.UID)
	if err != nil {
		return outcome{}, err
	}
	var unchangedSince *mailbox.Sequence
	if args.HasUnchangedSince {
		if err := s.enableCondstore(); err != nil {
			return outcome{}, err
		}
		since := mailbox.Sequence(args.UnchangedSince)
		unchangedSince = &since
	}
	var allRefused []mailbox.UID
	for _, uids := range s.portions(v.uidsIn(spans)) {
		refused, err := s.storePortion(args, uids, unchangedSince)
		if err != nil {
			return outcome{}, err
		}
		allRefused = append(allRefused, refused...)
	}
	if len(allRefused) > 0 {
		return outcome{code: wire.CodeSet("MODIFIED", v.setOf(allRefused, args.UID)), text: "Some messages had been changed"}, nil
	}
	return outcome{text: "Stored"}, nil
}

// storePortion stores flags of messages by one transaction and tells them, and gives the messages that had been changed before.
func (s *session) storePortion(args *wire.Store, uids []mailbox.UID, unchangedSince *mailbox.Sequence) (refused []mailbox.UID, err error) {
	own := &stored{uid: args.UID, silent: args.Silent}
	if len(uids) > 0 {
		err = s.mailbox.Update(s.ctx, func(d *mailbox.Draft) (err error) {
			own.changed, refused, err = d.SetFlags(s.view.folder, uids, flagOps[args.Op], flagsOf(args.Flags), unchangedSince)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	if err := s.tellStored(args, uids, refused, own); err != nil {
		s.syncFailed(err) // the flags are stored all the same
	}
	return refused, nil
}

// tellStored says the new flags, unless silence was asked for: of messages that changed as part of what is new in the
// folder, of the others by themselves.
func (s *session) tellStored(args *wire.Store, uids, refused []mailbox.UID, own *stored) error {
	if err := s.sync(s.ctx, args.UID, own); err != nil || args.Silent {
		return err
	}
	changed := make([]mailbox.UID, len(own.changed))
	for i := range changed {
		changed[i] = own.changed[i].UID
	}
	same := mailbox.SubtractUIDs(mailbox.SubtractUIDs(uids, changed), refused)
	plan := &fetchPlan{items: []wire.FetchItem{{Kind: wire.FetchFlags}}}
	if args.UID || s.condstore {
		plan.need(wire.FetchUID)
	}
	if s.condstore {
		plan.need(wire.FetchModSeq)
	}
	_, err := s.read(s.ctx, s.view.spansOf(same), false, func(targets []target) error {
		return s.writeTargets(plan, targets)
	})
	return err
}

// setOf names messages of the view by UID or by number.
func (v *view) setOf(uids []mailbox.UID, uid bool) wire.NumSet {
	if uid {
		return uidSet(uids)
	}
	var set wire.NumSet
	for _, uid := range uids {
		if at, known := v.index(uid); known {
			set = set.Append(uint32(at + 1))
		}
	}
	return set
}
