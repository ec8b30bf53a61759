package imap

import (
	"cmp"
	"context"
	"slices"

	"mailreplica/internal/fault"
	"mailreplica/internal/imap/wire"
	"mailreplica/internal/mailbox"
)

// errFolderGone ends a session whose folder was deleted, by the same account on another connection: RFC 3501 knows no
// other way to leave the selected state unasked.
var errFolderGone = fault.New(fault.NotFound, "The selected mailbox was deleted")

// stored is what the session itself has just done to flags, so that the client is told of it in the way it asked for.
type stored struct {
	uid     bool // the command named messages by UID, and wants to hear of them so
	silent  bool
	changed []mailbox.Message // ascending, as the session left them
	next    int               // of changed, which is asked for next if they are asked for in their order
}

// hides reports whether a changed message need not be told: it is as the client made it.
func (o *stored) hides(m mailbox.Message) bool {
	if o == nil || !o.silent {
		return false
	}
	at, own := o.next, o.next < len(o.changed) && o.changed[o.next].UID == m.UID
	if !own {
		at, own = slices.BinarySearchFunc(o.changed, m.UID, func(c mailbox.Message, uid mailbox.UID) int { return cmp.Compare(c.UID, uid) })
	}
	o.next = at + 1
	return own && o.changed[at].Flags.Equal(m.Flags)
}

// syncBefore brings the client up to date before a tagged response. The command has been done whatever becomes of this:
// an error that lasts is met again by the next command.
func (s *session) syncBefore(expunges bool) {
	if err := s.sync(s.ctx, expunges, nil); err != nil {
		s.syncFailed(err)
	}
}

func (s *session) syncFailed(err error) {
	if replyTo(err, "").ends || err == errFolderGone {
		s.end(err)
		return
	}
	s.log.Warn("imap session could not look for changes", "remote", s.remote, "error", err)
}

// sync tells the client what happened to the selected folder. Without expunges the numbers of messages stay as they are:
// messages that are gone keep theirs until the next sync.
func (s *session) sync(ctx context.Context, expunges bool, own *stored) error {
	after, upTo := mailbox.UID(0), mailbox.Sequence(0)
	for {
		var n news
		err := s.mailbox.Glance(ctx, max(s.view.seen, upTo), func(r mailbox.Reader) (err error) {
			n, err = s.view.since(r, after, func(m mailbox.Message) bool { return !s.condstore && own.hides(m) })
			return err
		})
		if err != nil {
			return err
		}
		if n.deleted {
			return errFolderGone
		}
		s.tell(ctx, n, expunges, own)
		if after == 0 { // what changes between two rounds may have been passed by: the next sync tells it
			upTo = n.upTo
		}
		if !n.more {
			s.view.seen = upTo
			return nil
		}
		after = n.changed[len(n.changed)-1].UID
	}
}

func (s *session) tell(ctx context.Context, n news, expunges bool, own *stored) {
	v := s.view
	if len(v.gone) == 0 {
		v.heldAt = v.seen
	}
	v.gone = mergeUIDs(v.gone, n.expunged)
	v.uidNext = n.uidNext
	if expunges {
		s.tellExpunged()
	}
	if len(n.added) > 0 {
		for _, uid := range n.added {
			v.uids.add(uid)
		}
		first, err := s.mailbox.Recent(ctx, v.folder, !v.readOnly)
		if err == nil { // else they are not \Recent here: that is less than not to be told of them
			v.addRecent(max(first, n.added[0]))
		}
		s.tellExists()
	}
	for _, m := range n.changed {
		if at, known := v.index(m.UID); known {
			s.tellChanged(at, m, own)
		}
	}
}

// tellExpunged says which messages are gone and takes them out of the view.
func (s *session) tellExpunged() {
	v := s.view
	if len(v.gone) == 0 {
		return
	}
	if s.qresync {
		s.out.Raw("* VANISHED ")
		s.out.NumSet(uidSet(v.gone))
		s.out.CRLF()
	} else {
		for i := len(v.gone) - 1; i >= 0; i-- { // from the end, so that the numbers before stay
			if at, known := v.index(v.gone[i]); known {
				s.out.UntaggedNumber(uint64(at+1), "EXPUNGE")
			}
		}
	}
	v.remove(v.gone)
}

func (s *session) tellExists() {
	s.out.UntaggedNumber(uint64(s.view.uids.len()), "EXISTS")
	s.out.UntaggedNumber(uint64(s.view.countRecent()), "RECENT")
}

// tellChanged says the flags of a message. Clients that know mod-sequences get them with every change, silent or not
// (RFC 7162 section 3.1.3), and the UID, without which QRESYNC clients cannot place it.
func (s *session) tellChanged(at int, m mailbox.Message, own *stored) {
	hidden := own.hides(m) // but for its mod-sequence
	s.announce(m)
	s.out.Raw("* ")
	s.out.Number(uint64(at + 1))
	s.out.Raw(" FETCH (")
	separator := ""
	if s.condstore || own != nil && own.uid {
		s.out.Raw("UID ")
		s.out.Number(uint64(m.UID))
		separator = " "
	}
	if s.condstore {
		s.out.Raw(" MODSEQ (")
		s.out.Number(uint64(m.ModSeq))
		s.out.Raw(")")
	}
	if !hidden {
		s.out.Raw(separator + "FLAGS ")
		s.writeFlags(&m)
	}
	s.out.Raw(")")
	s.out.CRLF()
}

func uidSet(uids []mailbox.UID) wire.NumSet {
	var set wire.NumSet
	for _, uid := range uids {
		set = set.Append(uint32(uid))
	}
	return set
}

// mergeUIDs gives the UIDs of both ascending slices, which have none in common.
func mergeUIDs(a, b []mailbox.UID) []mailbox.UID {
	if len(a) == 0 {
		return b
	}
	return mailbox.SortedUIDs(append(a, b...))
}
