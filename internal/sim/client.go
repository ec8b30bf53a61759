package sim

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	store "mailreplica/internal/mailstore"
	"mailreplica/internal/message"
	"mailreplica/internal/sim/check"
)

// viewsMax bounds how much one client looks at, for every view is judged against every operation.
const viewsMax = 60

// client is one session of an account, or an MTA that delivers to it: it does one thing after another, and looks for the home
// where it is not.
type client struct {
	cluster *cluster
	number  int
	id      account.ID
	random  *rand.Rand
	pace    time.Duration

	home     int
	last     *check.View
	blobs    map[mailbox.ItemID]string // of the contents that were read on seen
	seen     *life
	views    int
	failure  error // of the last change
	unsent   []*mail
	answered []mailbox.DeliveryKey // that were acknowledged, and that no repeat will come for
}

// mail is a mail that an MTA has to deliver until it is told that it is there.
type mail struct {
	number int
	key    mailbox.DeliveryKey
	again  time.Time // before which it is not sent
}

func (m *mail) body() string {
	return fmt.Sprintf("From: a@example.com\r\nSubject: %d\r\n\r\nbody %d %s\r\n", m.number, m.number, strings.Repeat("x", m.number%50))
}

var subject = regexp.MustCompile(`(?m)^Subject: (\d+)\r$`)

// numberOf is the number of the mail that a text is, 0 if it is none.
func numberOf(text []byte) (number int) {
	if found := subject.FindSubmatch(text); found != nil {
		number, _ = strconv.Atoi(string(found[1]))
	}
	return number
}

func newClient(c *cluster, number int, id account.ID) *client {
	random := c.options.of(fmt.Sprintf("client %d", number))
	return &client{
		cluster: c, number: number, id: id, random: random, home: random.IntN(len(c.stores)),
		pace: time.Duration(30+random.IntN(900)) * time.Millisecond,
	}
}

// run works until the cluster stops its clients.
func (c *client) run(ctx context.Context) {
	for {
		timer := time.NewTimer(time.Duration(c.random.ExpFloat64() * float64(c.pace)))
		select {
		case <-timer.C:
		case <-c.cluster.stopped:
			timer.Stop()
			return
		}
		if c.isGone() {
			return
		}
		c.step(ctx)
	}
}

// isGone reports whether the account was wished away.
func (c *client) isGone() bool {
	_, gone := c.cluster.gone.Load(c.id)
	return gone
}

// finish delivers what is not delivered, now that everything works.
func (c *client) finish(ctx context.Context) {
	if c.isGone() {
		return
	}
	for end := time.Now().Add(10 * time.Minute); len(c.unsent) > 0 && time.Now().Before(end); {
		c.deliver(ctx, c.unsent[0])
		time.Sleep(time.Second)
	}
	if len(c.unsent) > 0 {
		c.cluster.problem("client %d could not deliver mail %d when all was mended", c.number, c.unsent[0].number)
	}
}

func (c *client) step(ctx context.Context) {
	if len(c.unsent) > 0 && c.random.IntN(2) == 0 {
		c.deliver(ctx, c.unsent[c.random.IntN(len(c.unsent))])
		return
	}
	n := c.random.IntN(20)
	if c.last == nil {
		n = min(n, 9)
	}
	switch {
	case n == 0 && c.random.IntN(4) == 0:
		c.large(ctx)
	case n < 7:
		m := &mail{number: c.cluster.nextMail()}
		m.key = sha256.Sum256(fmt.Appendf(nil, "%s %d", c.id, m.number))
		c.unsent = append(c.unsent, m)
		c.deliver(ctx, m)
	case n < 10:
		c.look(ctx)
	case n < 13:
		c.mark(ctx)
	case n < 15:
		c.copy(ctx, false)
	case n < 17:
		c.copy(ctx, true)
	case n < 18:
		c.expunge(ctx)
	default:
		c.folder(ctx)
	}
}

// held finds the mailstore that seems to be the home, and its copy.
func (c *client) held(ctx context.Context) (*life, *store.Account) {
	m := c.cluster.stores[c.home]
	l := m.life.Load()
	if l == nil || l.dead.Load() || l.node.Load() == nil {
		c.elsewhere(ctx)
		return nil, nil
	}
	a, ok := l.node.Load().Mailstore().Account(c.id)
	if !ok {
		c.elsewhere(ctx)
		return nil, nil
	}
	return l, a
}

// elsewhere looks for another home: mostly the one in the directory, now and then any.
func (c *client) elsewhere(ctx context.Context) {
	if c.random.IntN(4) > 0 {
		if a, err := c.cluster.dir.Account(ctx, c.id); err == nil {
			c.home = slices.IndexFunc(c.cluster.stores, func(m *mailstore) bool { return m.name == a.MailHost })
			return
		}
	}
	c.home = c.random.IntN(len(c.cluster.stores))
}

// attempt has the account changed, and records what became of it. Results are for fn to put into the operation; they count only
// where it succeeded.
func (c *client) attempt(ctx context.Context, o *check.Op, fn func(*mailbox.Draft, *check.Op) error) bool {
	l, a := c.held(ctx)
	if a == nil {
		return false
	}
	return c.change(ctx, l, a, o, fn)
}

func (c *client) change(ctx context.Context, l *life, a *store.Account, o *check.Op, fn func(*mailbox.Draft, *check.Op) error) bool {
	o.Account, o.Client, o.Mailstore, o.Started, o.Begun = c.id, c.number, l.store.name, l.begun, time.Now()
	answers := slices.Clone(c.answered)
	before := a.Copy()
	results := make(chan check.Op, 1_000)
	l.store.clock().wear() // whoever comes first computes for others, by the clock of the machine
	err := a.Update(ctx, func(d *mailbox.Draft) error {
		result := *o
		changes := d.Changes()
		if err := fn(d, &result); err != nil {
			return err
		}
		if d.Changes() > changes {
			result.Sequence = d.Sequence()
			if err := d.Answered(answers); err != nil {
				return err
			}
		}
		select {
		case results <- result:
		default: // computed anew very often: the last one is what counts, and it cannot be told
		}
		return nil
	})
	clock(0).wear()
	c.failure = err
	after := a.Copy()
	switch {
	case l.dead.Load():
		o.Why = "the mailstore died"
	case err == nil:
		for len(results) > 0 {
			*o = <-results
		}
		o.Outcome = check.Done
		if after.Epoch == before.Epoch && after.IsPrimary() {
			o.Epoch = after.Epoch
		}
		o.Journalled = before.IsPaused() || after.IsPaused()
		if o.Sequence > 0 {
			c.answered = c.answered[:0]
		}
	case store.NotWritten(err):
		o.Outcome, o.Why = check.Refused, err.Error()
	default:
		o.Why = err.Error()
	}
	o.Ended = time.Now()
	c.cluster.history.Add(o)
	c.cluster.trace.add(fmt.Sprintf("client %d", c.number), "%s made %v takes %v", o, uidsOf(o.Made), o.Takes)
	if mayHaveMoved(err) || l.dead.Load() {
		c.elsewhere(ctx)
	}
	return o.Outcome == check.Done
}

// uidsOf leaves out the names of blobs, which are random.
func uidsOf(made []check.Made) (all []check.Place) {
	for _, m := range made {
		all = append(all, m.Place)
	}
	return all
}

func mayHaveMoved(err error) bool {
	switch fault.KindOf(err) {
	case fault.NotHome, fault.NotReady, fault.Unusable, fault.LogUnavailable:
		return err != nil
	}
	return false
}

// deliver tries to deliver a mail. It is not asked for again once that has succeeded.
func (c *client) deliver(ctx context.Context, m *mail) {
	l, a := c.held(ctx)
	if a == nil {
		return
	}
	if a.MayServe() != nil && c.random.IntN(4) > 0 { // as frontends do, mostly: no body is stored in vain
		c.elsewhere(ctx)
		return
	}
	stored := l.node.Load().Mailstore()
	message, err := stored.StoreBody(ctx, strings.NewReader(m.body()))
	if err != nil || l.dead.Load() {
		return
	}
	message.Received = time.Now()
	o := &check.Op{Kind: fmt.Sprintf("delivers %d", m.number), Delivery: m.number}
	repeated := false
	done := c.change(ctx, l, a, o, func(d *mailbox.Draft, o *check.Op) error {
		made, again, err := d.Deliver(message, m.key, mailbox.Inbox)
		if repeated = again; err == nil && !again {
			o.Made = []check.Made{{Place: check.Place{Folder: made.FolderID, UID: made.UID}, Blob: message.Blob}}
		}
		return err
	})
	switch {
	case done:
		c.unsent = slices.DeleteFunc(c.unsent, func(other *mail) bool { return other == m })
		c.answered = append(c.answered, m.key)
		if repeated {
			stored.DropBodies(ctx, []mailbox.NewMessage{message}, nil)
		}
	case c.failure != nil && !l.dead.Load():
		stored.DropBodies(ctx, []mailbox.NewMessage{message}, c.failure)
	}
}

// largeBytes is what is known of the inside of a message that makes a few of them a transaction in parts.
const largeBytes = 400_000

// large appends messages whose transaction does not fit one record of the log.
func (c *client) large(ctx context.Context) {
	l, a := c.held(ctx)
	if a == nil || a.MayServe() != nil {
		return
	}
	o := &check.Op{Kind: "appends in parts"}
	var messages []mailbox.NewMessage
	for range 3 {
		m := &mail{number: c.cluster.nextMail()}
		message, err := l.node.Load().Mailstore().StoreBody(ctx, strings.NewReader(m.body()))
		if err != nil || l.dead.Load() {
			return
		}
		message.Received = time.Now()
		if message.Summary, err = c.enlarged(message.Summary); err != nil {
			c.cluster.problem("what is known of the inside of a message cannot be read: %v", err)
			return
		}
		messages = append(messages, message)
		o.Copies = append(o.Copies, check.Made{Blob: message.Blob})
	}
	c.change(ctx, l, a, o, func(d *mailbox.Draft, o *check.Op) error {
		made, err := d.Append(1, messages)
		o.Copies = nil
		for i, m := range made {
			o.Made = append(o.Made, check.Made{Place: check.Place{Folder: m.FolderID, UID: m.UID}, Blob: messages[i].Blob})
		}
		return err
	})
	if c.failure != nil && !l.dead.Load() {
		l.node.Load().Mailstore().DropBodies(ctx, messages, c.failure)
	}
}

// enlarged is a summary with texts that cannot be compressed.
func (c *client) enlarged(summary []byte) ([]byte, error) {
	s, err := message.Decode(summary)
	if err != nil {
		return nil, err
	}
	for _, text := range []*string{&s.Root.ID, &s.Root.Description, &s.Root.Location, &s.Root.MD5} {
		b := make([]byte, largeBytes/4)
		for i := 0; i < len(b); i += 8 {
			binary.LittleEndian.PutUint64(b[i:], c.random.Uint64())
		}
		*text = string(b)
	}
	return s.Encode(), nil
}

// look sees all of the mailbox.
func (c *client) look(ctx context.Context) {
	if c.views >= viewsMax {
		return
	}
	l, a := c.held(ctx)
	if a == nil {
		return
	}
	var v *check.View
	if l != c.seen {
		c.seen, c.blobs = l, map[mailbox.ItemID]string{}
	}
	begun := time.Now()
	err := a.View(ctx, func(rows mailbox.Reader) (err error) {
		if v, err = check.Read(rows, c.blobs); err != nil || c.random.IntN(8) > 0 {
			return err
		}
		digest, err := mailbox.FullDigest(rows)
		if err == nil && digest != v.Digest {
			c.cluster.problem("the digest of %s on %s is not that of its rows at sequence %d", c.id, l.store.name, v.Sequence)
		}
		return err
	})
	if mayHaveMoved(err) {
		c.elsewhere(ctx)
	}
	if err != nil || l.dead.Load() {
		return
	}
	v.Account, v.Mailstore, v.Started, v.Begun, v.Ended, v.Served = c.id, l.store.name, l.begun, begun, time.Now(), true
	c.last = v
	c.views++
	c.cluster.history.Saw(v)
	c.cluster.trace.add(fmt.Sprintf("client %d", c.number), "%s", v)
}
