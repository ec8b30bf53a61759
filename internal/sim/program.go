package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mailreplica/internal/mailbox"
	"mailreplica/internal/sim/check"
)

const (
	inboxID       = 1
	password      = "secret"                                                                                        // of every account
	passwordHash  = "$argon2id$v=19$m=8,t=1,p=1$c2ltdWxhdGlvbiBzYWx0Lg$tReCKCA6/8VvW1Mbr680h8Q4Dl6KsZ0CJyMc/EJNE5Y" // cheap to check
	cachedKeysMax = 60
	selectQuick   = 50 * time.Millisecond
)

// program is a mail program that keeps its inbox as it was told of it, over sessions on any mailstore: what it resynchronises to, by
// QRESYNC, must be what the server has.
type program struct {
	caller
	session *imapSession
	kept    inbox
	fresh   inbox // what a FETCH of everything is telling, while it does
	full    bool
	exists  bool // messages have come since

	upTo     mailbox.UID // messages are known up to it; of later ones at most a change of flags was told
	promised uint64      // HIGHESTMODSEQ of the session's last answer that told one

	subjects []int // that were told: the numbers of mails
}

// inbox is what a mail program knows of its inbox.
type inbox struct {
	validity uint64 // 0: nothing is known
	modseq   uint64 // everything up to it is known
	next     uint64 // UIDNEXT
	rows     map[mailbox.UID]cached
}

type cached struct {
	flags  string // sorted
	modseq uint64
}

func (p *program) run(ctx context.Context) {
	for p.pause() {
		p.step(ctx)
	}
	p.leave()
}

// finish resynchronises for the last time, when all is well.
func (p *program) finish(ctx context.Context) {
	for n := 0; !p.isGone(); n++ {
		if p.enter(ctx); p.session != nil {
			break
		}
		if n == 60 {
			p.cluster.problem("%s finds no mailstore that lets it in when all was mended", p.name)
			break
		}
		time.Sleep(5 * time.Second)
	}
	p.leave()
}

func (p *program) leave() {
	if p.session != nil {
		p.session.close()
		p.session = nil
	}
}

func (p *program) step(ctx context.Context) {
	if p.session == nil {
		p.enter(ctx)
		return
	}
	uids := slices.Sorted(maps.Keys(p.kept.rows))
	p.random.Shuffle(len(uids), func(i, j int) { uids[i], uids[j] = uids[j], uids[i] })
	uids = uids[:min(len(uids), 1+p.random.IntN(3))]
	slices.Sort(uids)
	switch n := p.random.IntN(20); {
	case n < 6:
		p.append()
	case n < 11 && len(uids) > 0:
		p.mark(uids)
	case n < 13 && len(uids) > 0:
		p.expunge(uids)
	case n < 16:
		p.told(p.session.idle(ctx, time.Duration(p.random.IntN(15_000))*time.Millisecond))
	case n < 18:
		_, err := p.session.do("NOOP", "")
		p.told(err)
	default:
		p.leave()
		return
	}
	if p.session != nil && p.exists {
		p.exists = false
		_, err := p.session.do(fmt.Sprintf("UID FETCH %d:* (FLAGS MODSEQ)", p.upTo+1), "")
		p.told(err)
		p.upTo = p.highest()
	}
	if p.session != nil && !p.exists { // all that came until then has been fetched
		p.kept.modseq = max(p.kept.modseq, p.promised)
	}
}

func (p *program) highest() (uid mailbox.UID) {
	for u := range p.kept.rows {
		uid = max(uid, u)
	}
	return uid
}

// told looks at how a command ended; one that was not answered OK ends the session.
func (p *program) told(err error) check.Outcome {
	if err == nil {
		return check.Done
	}
	var no answer
	if errors.As(err, &no) && !strings.HasPrefix(no.text, "NO [UNAVAILABLE]") && !p.isGone() {
		p.cluster.problem("%s is answered %q", p.name, no.text)
	}
	p.leave()
	return check.Unknown
}

// hear takes an untagged response.
func (p *program) hear(line string) {
	if m := vanished.FindStringSubmatch(line); m != nil {
		for _, uid := range uidsIn(m[1]) {
			delete(p.kept.rows, uid)
			delete(p.fresh.rows, uid)
		}
		return
	}
	if subject, told := strings.CutPrefix(line, "Subject: "); told {
		p.subjects = append(p.subjects, int(number(subject)))
		return
	}
	if strings.HasSuffix(line, " EXISTS") {
		p.exists = true
		return
	}
	if m := code.FindStringSubmatch(line); m != nil && strings.HasPrefix(line, "* OK") {
		p.code(m[1], number(m[2]))
	}
	m := fetched.FindStringSubmatch(line)
	if m == nil {
		return
	}
	uid, named := numberIn(uidItem, m[1])
	modseq, has := numberIn(modItem, m[1])
	flags := flagItem.FindStringSubmatch(m[1])
	if !named || !has || flags == nil {
		if !p.isGone() {
			p.cluster.problem("%s is told %q, without UID, FLAGS or MODSEQ", p.name, line)
		}
		return
	}
	row := cached{flagsIn(flags[1]), modseq}
	if p.full {
		p.fresh.rows[mailbox.UID(uid)] = row
	} else {
		p.kept.rows[mailbox.UID(uid)] = row
	}
}

func number(text string) (n uint64) {
	_, _ = fmt.Sscan(text, &n)
	return n
}

func flagsIn(text string) string {
	all := strings.Fields(strings.ReplaceAll(text, `\Recent`, ""))
	slices.Sort(all)
	return strings.Join(all, " ")
}

func (p *program) code(name string, n uint64) {
	switch name {
	case "UIDVALIDITY":
		if n != p.kept.validity {
			p.kept = inbox{validity: n, rows: map[mailbox.UID]cached{}}
		}
	case "UIDNEXT":
		p.kept.next = n
	case "HIGHESTMODSEQ":
		p.kept.modseq = n
	}
}

// enter begins a session and resynchronises.
func (p *program) enter(ctx context.Context) {
	begun := time.Now()
	conn, err := p.dial(ctx, imapPort)
	if err != nil {
		return
	}
	p.exists, p.full, p.promised = false, false, 0
	if p.session, err = openIMAP(conn, p.hear); err != nil {
		p.leave()
		return
	}
	for _, command := range []string{"LOGIN " + p.cluster.names[p.id] + " " + password, "ENABLE QRESYNC"} {
		if _, err := p.session.do(command, ""); p.told(err) != check.Done {
			return
		}
	}
	before := p.kept
	choose := "SELECT INBOX (CONDSTORE)"
	if before.validity != 0 && before.modseq != 0 {
		choose = fmt.Sprintf("SELECT INBOX (QRESYNC (%d %d))", before.validity, before.modseq)
	}
	asked := time.Now()
	if _, err := p.session.do(choose, ""); p.told(err) != check.Done {
		if p.kept.modseq = min(p.kept.modseq, before.modseq); p.kept.validity != before.validity { // what follows it may not have come
			p.kept.modseq = 0
		}
		return
	}
	p.upTo = mailbox.UID(p.kept.next - 1)
	if before.validity != p.kept.validity || before.modseq == 0 {
		_, err := p.session.do("UID FETCH 1:* (FLAGS MODSEQ)", "")
		if p.exists = false; p.told(err) != check.Done {
			p.kept = inbox{rows: map[mailbox.UID]cached{}}
		}
		return
	}
	p.resynchronised(begun, asked, before)
}

// resynchronised checks what the program came to. A SELECT that takes long, as while a disk is slow, does not tell of a message that was there at its
// HIGHESTMODSEQ and is gone when it comes to it: what it tells is of no one sequence.
func (p *program) resynchronised(begun, asked time.Time, before inbox) {
	v := &check.View{
		Account: p.id, Only: inboxID, Sequence: mailbox.Sequence(p.kept.modseq), Begun: begun, Ended: time.Now(), Rows: map[check.Place]check.Row{},
		Folders: map[mailbox.ItemID]check.Folder{inboxID: {ID: inboxID, Name: mailbox.Inbox, UIDValidity: uint32(p.kept.validity), UIDNext: mailbox.UID(p.kept.next)}},
	}
	for uid, row := range p.kept.rows {
		place := check.Place{Folder: inboxID, UID: uid}
		v.Rows[place] = check.Row{Place: place, Keywords: keywordsIn(row.flags)}
	}
	if time.Since(asked) < selectQuick {
		p.cluster.history.Saw(v)
	}
	p.cluster.trace.add(p.name, "resynchronised from %d: %s", before.modseq, v)
	p.full, p.fresh = true, inbox{rows: map[mailbox.UID]cached{}}
	_, err := p.session.do("UID FETCH 1:* (FLAGS MODSEQ)", "")
	if p.full = false; p.told(err) != check.Done {
		return
	}
	if _, err = p.session.do("NOOP", ""); p.told(err) != check.Done {
		return
	}
	p.compare(v)
}

// compare says how what was resynchronised differs from what the server shows, but for what has changed since.
func (p *program) compare(v *check.View) {
	for uid, row := range p.fresh.rows {
		kept, there := p.kept.rows[uid]
		switch {
		case row.modseq > uint64(v.Sequence): // since
		case !there:
			p.cluster.problem("%s has resynchronised to %d without UID %d, of %d", p.name, v.Sequence, uid, row.modseq)
		case kept.modseq <= uint64(v.Sequence) && kept.flags != row.flags:
			p.cluster.problem("%s has resynchronised to %d with flags %q of UID %d, not %q of %d", p.name, v.Sequence, kept.flags, uid, row.flags, row.modseq)
		}
	}
	for uid := range p.kept.rows {
		if _, there := p.fresh.rows[uid]; !there && uid < mailbox.UID(p.kept.next) {
			p.cluster.problem("%s has resynchronised to %d with UID %d, which is not there", p.name, v.Sequence, uid)
		}
	}
	for uid, row := range p.fresh.rows {
		if row.modseq > uint64(v.Sequence) {
			p.kept.rows[uid] = row
		}
	}
}

func keywordsIn(flags string) (all []string) {
	for _, f := range strings.Fields(flags) {
		if strings.HasPrefix(f, "k") {
			all = append(all, f)
		}
	}
	return all
}

// append adds a mail, once: nobody repeats it.
func (p *program) append() {
	one := &mail{number: p.cluster.nextMail()}
	o := &check.Op{Kind: fmt.Sprintf("appends %d by IMAP", one.number), Begun: time.Now(), Timed: true, Delivery: one.number}
	text, err := p.session.do("APPEND INBOX", one.body())
	if o.Outcome = p.told(err); err != nil {
		o.Why = err.Error()
	} else if m := code.FindStringSubmatch(text); m != nil && m[1] == "APPENDUID" && m[3] != "" {
		o.Made = []check.Made{{Place: check.Place{Folder: inboxID, UID: mailbox.UID(number(m[3]))}}}
	} else {
		p.cluster.problem("%s is answered %q, without APPENDUID", p.name, text)
	}
	p.record(o)
}

// mark gives messages a keyword of its own. By the MODSEQ of the answer the change was made.
func (p *program) mark(uids []mailbox.UID) {
	o := &check.Op{Kind: "marks by IMAP", Begun: time.Now(), Timed: true, Keyword: p.cluster.nextName("k")}
	for _, uid := range uids {
		o.Marks = append(o.Marks, check.Place{Folder: inboxID, UID: uid})
		if strings.Count(p.kept.rows[uid].flags, " ") > cachedKeysMax {
			return
		}
	}
	_, err := p.session.do("UID STORE "+setOf(uids)+" +FLAGS ("+o.Keyword+")", "")
	if o.Outcome = p.told(err); err != nil {
		o.Why = err.Error()
	} else {
		o.By = p.toldBy(o.Keyword, uids)
	}
	p.record(o)
}

// toldBy is a sequence by which messages have a keyword, as the MODSEQ of one says; 0 if that was told of none.
func (p *program) toldBy(keyword string, uids []mailbox.UID) (by mailbox.Sequence) {
	for _, uid := range uids {
		if row := p.kept.rows[uid]; slices.Contains(strings.Fields(row.flags), keyword) {
			by = max(by, mailbox.Sequence(row.modseq))
		}
	}
	return by
}

func (p *program) expunge(uids []mailbox.UID) {
	o := &check.Op{Kind: "expunges by IMAP", Begun: time.Now(), Timed: true}
	for _, uid := range uids {
		o.Takes = append(o.Takes, check.Place{Folder: inboxID, UID: uid})
	}
	text := ""
	p.subjects = nil
	_, err := p.session.do("UID FETCH "+setOf(uids)+" (BODY.PEEK[])", "")
	o.Mails = p.subjects
	if err == nil {
		_, err = p.session.do("UID STORE "+setOf(uids)+` +FLAGS (\Deleted)`, "")
	}
	if err == nil {
		text, err = p.session.do("UID EXPUNGE "+setOf(uids), "")
	}
	if o.Outcome = p.told(err); err != nil {
		o.Why = err.Error()
	} else if m := code.FindStringSubmatch(text); m != nil && m[1] == "HIGHESTMODSEQ" {
		p.promised = number(m[2])
	}
	p.record(o)
}
