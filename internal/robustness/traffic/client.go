package traffic

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"mailreplica/internal/mailbox"
	"mailreplica/internal/pause"
	"mailreplica/internal/robustness/model"
	"mailreplica/internal/sim/check"
)

const (
	foldersMax  = 8
	keywordsMax = 60 // of a message
	standardMax = 5  // UIDVALIDITY of the last of the folders that every account has
)

// client is one session of an account after another, each on some mailstore: it does one thing after another.
type client struct {
	traffic *Traffic
	account Account
	number  int
	random  *rand.Rand

	session *Session
	last    *check.View // nil: look first
	since   int         // operations since then
}

const lookEvery = 6

func (c *client) run(ctx context.Context) {
	defer c.leave()
	for c.traffic.pause(ctx, c.random) {
		c.traffic.held.RLock()
		c.step(ctx)
		c.traffic.held.RUnlock()
	}
}

func (c *client) leave() {
	if c.session != nil {
		c.session.Leave()
	}
	c.session, c.last = nil, nil
}

func (c *client) step(ctx context.Context) {
	if c.session == nil {
		begun, excused := time.Now(), c.traffic.still.Load() > 0
		session, err := login(c.traffic, one(c.random, c.traffic.options.IMAP), c.account)
		c.traffic.long(excused, begun, "LOGIN")
		if _, odd := outcome(err); odd {
			c.traffic.Record.Problem("LOGIN is answered %v", err)
		}
		if err != nil {
			_ = pause.For(ctx, againEvery)
			return
		}
		c.session = session
	}
	if c.last == nil || c.since >= lookEvery {
		c.look()
		return
	}
	c.since++
	c.change()
}

func (c *client) look() {
	begun, excused := time.Now(), c.traffic.still.Load() > 0
	v, err := c.session.Look(false)
	c.traffic.long(excused, begun, "a look")
	if err != nil {
		if _, odd := outcome(err); odd {
			c.traffic.Record.Problem("a look is answered %v", err)
		}
		c.leave()
		return
	}
	v.Account, c.since = c.account.ID, 0
	if c.traffic.Record.Saw(v) {
		c.last = v
	}
}

func (c *client) change() {
	rows := c.some()
	n := c.random.IntN(20)
	switch {
	case n < 3:
		c.append()
	case n < 6 && len(rows) == 0, n >= 17:
		c.folder()
	case len(rows) == 0:
		c.append()
	case n < 10:
		c.mark(rows)
	case n < 12 && len(c.last.Rows) < c.traffic.options.MostRows:
		c.copy(rows, false)
	case n < 15:
		c.copy(rows, true)
	default:
		c.expunge(rows)
	}
}

// attempt does something that changes the mailbox, and records what became of it.
func (c *client) attempt(o *check.Op, do func(*check.Op) error) {
	o.Account, o.Client, o.Timed, o.Begun = c.account.ID, c.number, true, time.Now()
	excused := c.traffic.still.Load() > 0
	err := c.session.within(func() error { return do(o) })
	o.Ended = time.Now()
	c.traffic.long(excused, o.Begun, o.Kind)
	var odd bool
	if o.Outcome, odd = outcome(err); odd {
		c.traffic.Record.Problem("%s is answered %v", o.Kind, err)
	}
	if err != nil {
		o.Why = err.Error()
	}
	if o.Outcome != check.Done {
		o.Made = nil
	} else {
		o.Copies = nil
	}
	c.traffic.Record.Add(o)
	if o.Outcome == check.Unknown {
		c.leave()
	}
}

// some are a few messages of one folder, as the client saw it last. They are in the order of their UIDs.
func (c *client) some() []check.Row {
	var all []check.Row
	for _, r := range c.last.Rows {
		all = append(all, r)
	}
	if len(all) == 0 {
		return nil
	}
	byPlace := func(a, b check.Row) int { return cmp.Or(cmp.Compare(a.Folder, b.Folder), cmp.Compare(a.UID, b.UID)) }
	slices.SortFunc(all, byPlace)
	folder := all[c.random.IntN(len(all))].Folder
	all = slices.DeleteFunc(all, func(r check.Row) bool { return r.Folder != folder })
	c.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	all = all[:min(len(all), 1+c.random.IntN(3))]
	slices.SortFunc(all, byPlace)
	return all
}

func places(rows []check.Row) (uids imap.UIDSet, all []check.Place) {
	for _, r := range rows {
		uids.AddNum(imap.UID(r.UID))
		all = append(all, r.Place)
	}
	return uids, all
}

// chosen selects the folder of rows. One that is renamed or removed meanwhile is left alone: its name may be another's.
func (c *client) chosen(rows []check.Row) error {
	folder := c.last.Folders[rows[0].Folder]
	selected, err := c.session.Select(folder.Name, &imap.SelectOptions{CondStore: true}).Wait()
	if err != nil {
		return err
	}
	if selected.UIDValidity != folder.UIDValidity {
		if folder.Name == "INBOX" {
			c.traffic.Record.Problem("UIDVALIDITY of INBOX was %d and is %d", folder.UIDValidity, selected.UIDValidity)
		}
		return &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeNonExistent, Text: "it is another folder now"}
	}
	return nil
}

func (c *client) mark(rows []check.Row) {
	if slices.ContainsFunc(rows, func(r check.Row) bool { return len(r.Keywords) > keywordsMax }) {
		return
	}
	uids, all := places(rows)
	o := &check.Op{Kind: "marks", Marks: all, Keyword: fmt.Sprintf("k%d", c.traffic.names.Add(1))}
	c.attempt(o, func(o *check.Op) error {
		if err := c.chosen(rows); err != nil {
			return err
		}
		flags := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen, imap.Flag(o.Keyword)}}
		changed, err := c.session.Store(uids, flags, nil).Collect()
		for _, m := range changed {
			if uids.Contains(m.UID) && slices.Contains(m.Flags, imap.Flag(o.Keyword)) {
				o.Sequence = max(o.Sequence, mailbox.Sequence(m.ModSeq))
			}
		}
		return err
	})
}

func (c *client) expunge(rows []check.Row) {
	uids, all := places(rows)
	c.attempt(&check.Op{Kind: "expunges", Takes: all}, func(*check.Op) error {
		if err := c.chosen(rows); err != nil {
			return err
		}
		deleted := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
		if err := c.session.Store(uids, deleted, nil).Close(); err != nil {
			return err
		}
		return c.session.UIDExpunge(uids).Close()
	})
}

// append adds a message in some folder. It is tried once: nobody repeats it.
func (c *client) append() {
	folder, found := c.aFolder(false)
	if !found {
		return
	}
	mail := int(c.traffic.mails.Add(1))
	o := &check.Op{Kind: "appends", Delivery: 0, Copies: made(mail)}
	c.attempt(o, func(o *check.Op) error {
		text := Mail(mail)
		command := c.session.Append(folder.Name, int64(len(text)), nil)
		if _, err := command.Write([]byte(text)); err != nil {
			return err
		}
		if err := command.Close(); err != nil {
			return err
		}
		data, err := command.Wait()
		if err == nil {
			o.Made = []check.Made{{Place: check.Place{Folder: mailbox.ItemID(data.UIDValidity), UID: mailbox.UID(data.UID)}, Blob: model.Blob(mail)}}
		}
		return err
	})
}

func (c *client) copy(rows []check.Row, move bool) {
	to, found := c.aFolder(false)
	if !found || move && to.ID == rows[0].Folder {
		return
	}
	uids, all := places(rows)
	o := &check.Op{Kind: "copies"}
	blobs := map[imap.UID]string{}
	for _, r := range rows {
		o.Copies = append(o.Copies, check.Made{Blob: r.Blob})
		blobs[imap.UID(r.UID)] = r.Blob
	}
	if move {
		o.Kind, o.Takes = "moves", all
	}
	c.attempt(o, func(o *check.Op) error {
		if err := c.chosen(rows); err != nil {
			return err
		}
		validity, from, into, err := c.transfer(uids, to.Name, move)
		for i := range min(len(from), len(into)) {
			p := check.Place{Folder: mailbox.ItemID(validity), UID: mailbox.UID(into[i])}
			o.Made = append(o.Made, check.Made{Place: p, Blob: blobs[from[i]]})
		}
		return err
	})
}

func (c *client) transfer(uids imap.UIDSet, to string, move bool) (validity uint32, from, into []imap.UID, err error) {
	if !move {
		data, err := c.session.Copy(uids, to).Wait()
		if err != nil {
			return 0, nil, nil, err
		}
		from, _ = data.SourceUIDs.Nums()
		into, _ = data.DestUIDs.Nums()
		return data.UIDValidity, from, into, nil
	}
	data, err := c.session.Move(uids, to).Wait()
	if err != nil {
		return 0, nil, nil, err
	}
	if set, ok := data.SourceUIDs.(imap.UIDSet); ok {
		from, _ = set.Nums()
	}
	if set, ok := data.DestUIDs.(imap.UIDSet); ok {
		into, _ = set.Nums()
	}
	return data.UIDValidity, from, into, nil
}

// aFolder is one of the folders that the client saw; made are those that clients made.
func (c *client) aFolder(made bool) (check.Folder, bool) {
	var all []check.Folder
	for _, f := range c.last.Folders {
		if !made || f.UIDValidity > standardMax {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return check.Folder{}, false
	}
	slices.SortFunc(all, func(a, b check.Folder) int { return cmp.Compare(a.ID, b.ID) })
	return all[c.random.IntN(len(all))], true
}

// folder makes, renames or removes a folder. Names are never used twice.
func (c *client) folder() {
	f, found := c.aFolder(true)
	name := fmt.Sprintf("Folder %d", c.traffic.names.Add(1))
	switch n := c.random.IntN(4); {
	case !found, n < 2 && len(c.last.Folders) < standardMax+foldersMax:
		c.attempt(&check.Op{Kind: "makes " + name, Name: name}, func(*check.Op) error { return c.session.Create(name, nil).Wait() })
	case n == 2:
		c.attempt(&check.Op{Kind: "renames " + f.Name + " " + name, Folder: f.ID, Name: name}, func(*check.Op) error {
			return c.session.Rename(f.Name, name, nil).Wait()
		})
	default:
		c.attempt(&check.Op{Kind: "removes " + f.Name, Drops: f.ID}, func(*check.Op) error { return c.session.Delete(f.Name).Wait() })
	}
}
