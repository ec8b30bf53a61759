package e2e_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"
)

const (
	retryEvery = 30 * time.Millisecond
	finishWait = 90 * time.Second // for what was sent to be accepted in the end
)

// load delivers and works on accounts until it is finished. A sender repeats what was not answered, as an MTA does; a
// reader notes a change that was not answered as one in doubt.
type load struct {
	ledgers    []*ledger
	lmtp, imap atomic.Pointer[[]string]
	samples    [][]byte
	acks       atomic.Int64
	ending     chan struct{}
	running    sync.WaitGroup
	c          *cluster
}

// load starts senders and readers against some mailstores.
func (c *cluster) load(ledgers []*ledger, senders, readers int, stores ...int) *load {
	l := &load{ledgers: ledgers, samples: samples(), ending: make(chan struct{}), c: c}
	l.via(stores...)
	for i := range senders {
		l.running.Go(func() { l.send(i) })
	}
	for i := range readers {
		l.running.Go(func() { l.read(i, readers) })
	}
	c.t.Cleanup(l.end)
	return l
}

// via says which mailstores are used from now on.
func (l *load) via(stores ...int) {
	var lmtp, imap []string
	for _, i := range stores {
		lmtp, imap = append(lmtp, l.c.store(i).lmtp), append(imap, l.c.store(i).imap)
	}
	l.lmtp.Store(&lmtp)
	l.imap.Store(&imap)
}

func one(of *atomic.Pointer[[]string]) string {
	all := *of.Load()
	return all[rand.IntN(len(all))]
}

func (l *load) ended() bool {
	select {
	case <-l.ending:
		return true
	default:
		return false
	}
}

func (l *load) end() {
	if !l.ended() {
		close(l.ending)
	}
}

// finish ends the load; what is on its way is still accepted.
func (l *load) finish() {
	l.c.t.Helper()
	l.end()
	done := make(chan struct{})
	go func() { l.running.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(finishWait + commandWait):
		l.c.t.Fatal("the load does not end")
	}
}

// more waits until some more changes are acknowledged: the cluster works.
func (l *load) more(n int64) {
	l.c.t.Helper()
	from := l.acks.Load()
	eventually(l.c.t, finishWait, func() error {
		if done := l.acks.Load() - from; done < n {
			return fmt.Errorf("%d of %d changes are acknowledged", done, n)
		}
		return nil
	})
}

// run lets the load go on for a time that nobody can foresee.
func (l *load) run(most time.Duration) {
	time.Sleep(most/3 + rand.N(most*2/3))
}

func (l *load) send(i int) {
	var c *smtp.Client
	defer func() {
		if c != nil {
			_ = c.Quit() // everything is answered
		}
	}()
	for !l.ended() {
		to := l.ledgers[rand.IntN(len(l.ledgers))]
		n := l.c.count.Add(1)
		id := fmt.Sprintf("s%d-%d", i, n)
		message := tagged(id, l.samples[int(n)%len(l.samples)])
		at := to.sending(id, message, place{folder: "INBOX"})
		until := time.Now().Add(finishWait)
		for {
			err := error(nil)
			if c == nil {
				c, err = dialLMTP(one(&l.lmtp))
			}
			if err == nil {
				err = transfer(c, message, to.name)
			}
			if err == nil {
				to.arrived(at, 0)
				l.acks.Add(1)
				break
			}
			if reply := replyOf(err); strings.HasPrefix(reply, "5") {
				to.oddly("LMTP answers %s: %v", reply, err)
			}
			if c != nil {
				_ = c.Close() // it is broken, or its transaction is
				c = nil
			}
			if time.Now().After(until) {
				to.oddly("%s is not accepted within %s: %v", id, finishWait, err)
				return
			}
			time.Sleep(retryEvery)
		}
	}
}

func (l *load) read(i, of int) {
	for n := 0; !l.ended(); n++ {
		at := (i + n*of) % len(l.ledgers)
		if at%of != i {
			at = i % len(l.ledgers) // an account is worked on by one reader alone
		}
		to := l.ledgers[at]
		c, err := login(one(&l.imap), to.name)
		if err != nil {
			if strings.Contains(err.Error(), "AUTHENTICATIONFAILED") {
				to.oddly("login: %v", err)
			}
			time.Sleep(retryEvery)
			continue
		}
		w := worker{l, to, c}
		if err := w.work(); isRefusal(err) && !strings.Contains(err.Error(), "[UNAVAILABLE]") {
			to.oddly("IMAP answers %v", err)
		}
		c.close()
	}
}

// worker changes an account through one session.
type worker struct {
	*load
	to *ledger
	c  *client
}

const changesPerSession = 12

func (w worker) work() error {
	if err := w.makeFolder("Archive"); err != nil {
		return err
	}
	for range changesPerSession {
		if w.ended() {
			return nil
		}
		if err := w.learn(); err != nil {
			return err
		}
		if err := w.change(); err != nil {
			return err
		}
	}
	return nil
}

// learn looks at what has come since.
func (w worker) learn() error {
	for _, folder := range []string{"Archive", "INBOX"} {
		validity, rows, err := w.c.look(folder, 1)
		if err != nil {
			return err
		}
		for _, problem := range w.to.saw(folder, validity, rows) {
			w.to.oddly("%s", problem)
		}
	}
	return nil
}

func (w worker) makeFolder(name string) error {
	w.to.mu.Lock()
	known := w.to.folders[name]
	w.to.mu.Unlock()
	if known {
		return nil
	}
	_, tagged, err := w.c.do("CREATE %s", name)
	if err != nil && !strings.Contains(tagged, "ALREADYEXISTS") {
		return err
	}
	if _, _, err := w.c.do("SUBSCRIBE %s", name); err != nil {
		return err
	}
	w.to.mu.Lock()
	defer w.to.mu.Unlock()
	w.to.folders[name] = true
	w.to.acknowledged += 2
	return nil
}

// change makes one change, in INBOX, which is selected.
func (w worker) change() error {
	kind := rand.IntN(8)
	switch kind {
	case 0:
		return w.append()
	case 1:
		return w.renameFolder()
	}
	_, i := w.to.pick("INBOX", rand.IntN)
	if i == nil {
		return nil
	}
	at := i.may[0]
	var err error
	switch kind {
	case 2:
		err = w.store(i, at, `\Seen $Label`, "FLAGS")
	case 3:
		err = w.store(i, at, joinFlags(append(strings.Fields(at.flags), `\Flagged`)), "FLAGS.SILENT")
	case 4:
		err = w.store(i, at, "", "FLAGS")
	case 5:
		err = w.move(i, at)
	case 6:
		err = w.copy(i, at)
	case 7:
		err = w.expunge(i, at)
	}
	if err == nil {
		w.acks.Add(1)
	}
	return err
}

func (w worker) store(i *item, at place, flags, item string) error {
	_, _, err := w.c.do("UID STORE %d %s (%s)", at.uid, item, flags)
	w.to.settle(i, err, place{at.folder, at.uid, joinFlags(strings.Fields(flags))})
	return err
}

func (w worker) move(i *item, at place) error {
	lines, answer, err := w.c.do("UID MOVE %d Archive", at.uid)
	w.to.settle(i, err, place{"Archive", number(copiedCode, texts(lines)+answer), at.flags})
	return err
}

func (w worker) copy(i *item, at place) error {
	w.to.mu.Lock()
	copied := &item{may: []place{{"Archive", 0, at.flags}, {}}}
	for id, items := range w.to.items {
		for _, one := range items {
			if one == i {
				w.to.items[id] = append(items, copied)
			}
		}
	}
	w.to.mu.Unlock()
	lines, answer, err := w.c.do("UID COPY %d Archive", at.uid)
	w.to.settle(copied, err, place{"Archive", number(copiedCode, texts(lines)+answer), at.flags})
	return err
}

func (w worker) expunge(i *item, at place) error {
	deleted := joinFlags(append(strings.Fields(at.flags), `\Deleted`))
	if err := w.store(i, at, deleted, "FLAGS.SILENT"); err != nil {
		return err
	}
	_, _, err := w.c.do("UID EXPUNGE %d", at.uid)
	w.to.settle(i, err, place{})
	return err
}

func (w worker) append() error {
	id := fmt.Sprintf("a-%d", w.load.c.count.Add(1))
	message := tagged(id, w.samples[rand.IntN(len(w.samples))])
	flags := []string{"", `\Seen`, `$Other \Answered`, `\Draft`}[rand.IntN(4)]
	i := w.to.sending(id, message, place{folder: "Archive", flags: joinFlags(strings.Fields(flags))})
	answer, err := w.c.appendMessage("Archive", fmt.Sprintf(`(%s) "%02d-Feb-2019 01:02:03 +0200" `, flags, 1+rand.IntN(28)), message)
	if err != nil {
		w.to.mu.Lock()
		defer w.to.mu.Unlock()
		w.to.doubtful++
		return err
	}
	uid := number(appendedCode, answer)
	if uid == 0 {
		return errors.New("APPEND is answered without APPENDUID: " + answer)
	}
	w.to.arrived(i, uid)
	w.acks.Add(1)
	return nil
}

// renameFolder makes a folder, gives it another name, and deletes every other one of them.
func (w worker) renameFolder() error {
	n := w.load.c.count.Add(1)
	name, other := fmt.Sprintf("Made-%d", n), fmt.Sprintf("Named-%d", n)
	if err := w.makeFolder(name); err != nil {
		return err
	}
	if err := w.folderChange(map[string]bool{name: false, other: true}, "RENAME %s %s", name, other); err != nil {
		return err
	}
	if n%2 == 0 {
		return w.folderChange(map[string]bool{other: false}, "DELETE %s", other)
	}
	return nil
}

func (w worker) folderChange(after map[string]bool, format string, args ...any) error {
	_, _, err := w.c.do(format, args...)
	w.to.mu.Lock()
	defer w.to.mu.Unlock()
	for name, there := range after {
		if err == nil {
			w.to.folders[name] = there
		} else {
			delete(w.to.folders, name) // either way is right
		}
	}
	if err == nil {
		w.to.acknowledged++
	} else {
		w.to.doubtful++
	}
	return err
}
