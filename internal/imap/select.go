package imap

import (
	"slices"
	"strings"

	"mailreplica/internal/fault"
	"mailreplica/internal/imap/wire"
	"mailreplica/internal/mailbox"
)

var errNoContent = fault.New(fault.Internal, "a message has no content")

// opened is what SELECT finds.
type opened struct {
	folder   mailbox.Folder
	view     *view
	unseen   int           // sequence number of the first message without \Seen, 0 if there is none
	vanished wire.NumSet   // QRESYNC: known to the client, and gone
	changed  []mailbox.UID // QRESYNC: changed since the client was here
}

// keywordsShownMax bounds the keywords that FLAGS lists.
const keywordsShownMax = 256

// selectFolder answers SELECT and EXAMINE (RFC 3501 section 6.3.1, RFC 7162 section 3.2.5).
func (s *session) selectFolder(c *wire.Command) (outcome, error) {
	args := c.Args.(*wire.Select)
	if args.QResync != nil && !s.qresync {
		return outcome{status: wire.BAD, text: "ENABLE QRESYNC first"}, nil
	}
	if s.view != nil { // also where what follows fails: then no mailbox is selected (RFC 3501 section 6.3.1)
		s.view = nil
		s.out.UntaggedStatus(wire.OK, "CLOSED", "Previous mailbox closed")
	}
	if err := s.mailbox.MaySelect(); err != nil {
		return outcome{}, err
	}
	var o opened
	err := s.mailbox.View(s.ctx, func(r mailbox.Reader) (err error) {
		o, err = open(r, args)
		return err
	})
	if err != nil {
		return outcome{}, err
	}
	first, err := s.mailbox.Recent(s.ctx, o.folder.ID, !args.ReadOnly)
	if err != nil {
		return outcome{}, err
	}
	s.view = o.view
	o.view.addRecent(first)
	if args.CondStore || args.QResync != nil {
		s.condstore = true
	}
	s.tellOpened(o)
	if args.QResync != nil {
		if err := s.resynchronise(o); err != nil {
			return outcome{}, err
		}
	}
	if args.ReadOnly {
		return outcome{code: "READ-ONLY", text: "Mailbox opened"}, nil
	}
	return outcome{code: "READ-WRITE", text: "Mailbox opened"}, nil
}

func noSuchFolder(name string) error {
	return fault.New(fault.NotFound, "There is no mailbox %s", name)
}

func open(r mailbox.Reader, args *wire.Select) (opened, error) {
	var o opened
	folder, found, err := r.FolderByName(args.Mailbox)
	if err != nil {
		return o, err
	}
	if !found {
		return o, noSuchFolder(args.Mailbox)
	}
	header, err := r.Header()
	if err != nil {
		return o, err
	}
	v := &view{
		folder: folder.ID, uidValidity: folder.UIDValidity, uidNext: folder.UIDNext, readOnly: args.ReadOnly,
		seen: header.Sequence,
	}
	o.folder, o.view = folder, v
	outline, err := mailbox.OutlineOf(r, folder.ID)
	for _, run := range outline.UIDs {
		v.uids.addRun(run.First, run.Messages)
	}
	for _, keyword := range outline.Keywords {
		v.addKeyword(keyword)
	}
	o.unseen = outline.Unseen
	if err == nil && args.QResync != nil && args.QResync.UIDValidity == folder.UIDValidity {
		err = o.compare(r, args.QResync)
	}
	return o, err
}

func (s *session) tellOpened(o opened) {
	v := o.view
	s.tellFlags()
	s.tellExists()
	if o.unseen > 0 {
		s.out.UntaggedStatus(wire.OK, wire.CodeNumber("UNSEEN", uint64(o.unseen)), "First unseen message")
	}
	s.out.UntaggedStatus(wire.OK, wire.CodeNumber("UIDVALIDITY", uint64(v.uidValidity)), "UIDs valid")
	s.out.UntaggedStatus(wire.OK, wire.CodeNumber("UIDNEXT", uint64(v.uidNext)), "Predicted next UID")
	s.out.UntaggedStatus(wire.OK, wire.CodeNumber("HIGHESTMODSEQ", highestModSeq(o.folder)), "Highest mod-sequence")
}

// highestModSeq is a folder's; clients must never see 0 (RFC 7162 section 3.1.2.1).
func highestModSeq(f mailbox.Folder) uint64 { return uint64(max(f.HighestSeq, 1)) }

// tellFlags lists the flags that messages of the folder may have.
func (s *session) tellFlags() {
	names := make([]string, 0, len(systemFlags)+len(s.view.keywords)+1)
	for _, known := range systemFlags {
		names = append(names, known.name)
	}
	names = append(names, s.view.keywords...)
	s.out.Raw("* FLAGS ")
	s.out.Flags(names)
	s.out.CRLF()
	permanent := append(names, `\*`)
	if s.view.readOnly {
		permanent = nil
	}
	s.out.UntaggedStatus(wire.OK, wire.CodeFlags("PERMANENTFLAGS", permanent), "Flags that are kept")
}

// addKeyword remembers a keyword that FLAGS lists, and reports whether it is new.
func (v *view) addKeyword(keyword string) bool {
	at, found := slices.BinarySearchFunc(v.keywords, keyword, compareFold)
	if found || len(v.keywords) >= keywordsShownMax {
		return false
	}
	v.keywords = slices.Insert(v.keywords, at, keyword)
	return true
}

func compareFold(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }

// announce lists the flags anew before a message is shown with a keyword that the client has not heard of.
func (s *session) announce(m mailbox.Message) {
	fresh := false
	for _, k := range m.Flags.Keywords {
		fresh = s.view.addKeyword(k) || fresh
	}
	if fresh {
		s.tellFlags()
	}
}

// closeFolder answers CLOSE: messages marked \Deleted go without a word (RFC 3501 section 6.4.2).
func (s *session) closeFolder(*wire.Command) (outcome, error) {
	v := s.view
	if !v.readOnly {
		if err := s.expungeDeleted(); err != nil {
			return outcome{}, err
		}
	}
	s.view = nil
	return outcome{text: "Mailbox closed"}, nil
}

func (s *session) expungeDeleted() error {
	var uids []mailbox.UID
	err := s.mailbox.View(s.ctx, func(r mailbox.Reader) (err error) {
		uids, err = s.deletedUIDs(r)
		return err
	})
	if err != nil || len(uids) == 0 {
		return err
	}
	return s.expungeAll(s.deletedUIDs)
}

func (s *session) unselect(*wire.Command) (outcome, error) {
	s.view = nil
	return outcome{text: "Mailbox closed"}, nil
}
