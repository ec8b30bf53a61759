package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// place is where a message is, and how it is flagged. An empty folder: it is nowhere.
type place struct {
	folder string
	uid    uint64 // 0: no client has seen it yet
	flags  string
}

// item is one message, or one copy of it. What was acknowledged leaves it one place; a change that was not answered leaves
// it the places before and after.
type item struct {
	may []place
}

func (i *item) certain() bool { return len(i.may) == 1 && i.may[0].uid != 0 }

// ledger is what one account must hold.
type ledger struct {
	name string

	mu           sync.Mutex
	items        map[string][]*item // by the test's id
	sent         map[string]string  // hash of the bytes that were sent
	folders      map[string]bool    // acknowledged as made (true) or gone (false)
	seen         map[string]row     // by folder and UID: what a client was shown
	validity     map[string]uint64
	acknowledged int
	doubtful     int
	odd          []string // answers that must never be given
}

func newLedger(name string) *ledger {
	return &ledger{name: name, items: map[string][]*item{}, sent: map[string]string{}, folders: map[string]bool{"INBOX": true},
		seen: map[string]row{}, validity: map[string]uint64{}}
}

func newLedgers(names []string) (all []*ledger) {
	for _, name := range names {
		all = append(all, newLedger(name))
	}
	return all
}

func (l *ledger) oddly(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.odd = append(l.odd, fmt.Sprintf(format, args...))
}

// sending records a message that is on its way: until it is acknowledged, it is there or not.
func (l *ledger) sending(id string, bytes []byte, to place) *item {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := &item{may: []place{to, {}}}
	l.items[id] = append(l.items[id], i)
	l.sent[id] = hash(bytes)
	return i
}

// arrived records that the message on its way is acknowledged.
func (l *ledger) arrived(i *item, uid uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i.may[0].uid == 0 {
		i.may[0].uid = uid // else a client has seen it meanwhile
	}
	i.may = i.may[:1]
	l.acknowledged++
}

// settle records how a change ended: acknowledged (the item is at the place), or in doubt.
func (l *ledger) settle(i *item, err error, to ...place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		i.may = to[:1]
		l.acknowledged++
		return
	}
	i.may = append(i.may[:len(i.may):len(i.may)], to...)
	l.doubtful++
}

// saw records what a client is shown of messages, and compares it with what clients were shown before.
func (l *ledger) saw(folder string, validity uint64, rows []row) (problems []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if before := l.validity[folder]; before != 0 && before != validity {
		problems = append(problems, fmt.Sprintf("%s: UIDVALIDITY of %s was %d and is %d", l.name, folder, before, validity))
	}
	l.validity[folder] = validity
	for _, r := range rows {
		key := fmt.Sprintf("%s %d", folder, r.uid)
		before, known := l.seen[key]
		if known && (before.id != r.id || before.fixed != r.fixed || before.body != r.body) {
			problems = append(problems, fmt.Sprintf("%s: %s was shown as\n  %s %s %s, now it is\n  %s %s %s", l.name, key, before.id, before.body, before.fixed, r.id, r.body, r.fixed))
		}
		l.seen[key] = r
		if !known {
			l.recognise(folder, r)
		}
	}
	return problems
}

// recognise gives the item its UID that was in this folder without one. If two could be meant, it stays open.
func (l *ledger) recognise(folder string, r row) {
	for _, i := range l.items[r.id] {
		if slices.ContainsFunc(i.may, func(p place) bool { return p.folder == folder && p.uid == r.uid }) {
			return // known from the answer to its change
		}
	}
	var candidates []*place
	for _, i := range l.items[r.id] {
		for at := range i.may {
			if i.may[at].folder == folder && i.may[at].uid == 0 {
				candidates = append(candidates, &i.may[at])
			}
		}
	}
	if len(candidates) == 1 {
		candidates[0].uid = r.uid
	}
}

// pick gives an item of which everything is known, in a folder.
func (l *ledger) pick(folder string, choose func(n int) int) (id string, i *item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []string
	var all []*item
	for id, items := range l.items {
		for _, i := range items {
			if i.certain() && i.may[0].folder == folder {
				ids, all = append(ids, id), append(all, i)
			}
		}
	}
	if len(all) == 0 {
		return "", nil
	}
	at := choose(len(all))
	return ids[at], all[at]
}

// verdict counts what comparing found.
type verdict struct {
	acknowledged, doubtful, messages int
	problems                         []string
}

// compare holds what the account shows now against the ledger. Folders are judged by existence, messages one by one.
func (l *ledger) compare(folders []string, now map[string][]row) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := verdict{acknowledged: l.acknowledged, doubtful: l.doubtful, problems: l.odd}
	for name, there := range l.folders {
		if slices.Contains(folders, name) != there {
			v.problems = append(v.problems, fmt.Sprintf("%s: folder %s: there %v, want %v", l.name, name, !there, there))
		}
	}
	at := map[string][]place{}
	for folder, rows := range now {
		for _, r := range rows {
			at[r.id] = append(at[r.id], place{folder, r.uid, r.flags})
			if want := l.sent[r.id]; want != "" && r.own != want {
				v.problems = append(v.problems, fmt.Sprintf("%s: %s has other bytes than were sent", l.name, r.id))
			}
			v.messages++
		}
	}
	for id, items := range l.items {
		if !matches(items, at[id]) {
			v.problems = append(v.problems, fmt.Sprintf("%s: %s is at %v, want %s", l.name, id, at[id], describe(items)))
		}
		delete(at, id)
	}
	for id, places := range at {
		v.problems = append(v.problems, fmt.Sprintf("%s: nobody sent %q, which is at %v", l.name, id, places))
	}
	return v
}

// matches reports whether each item is found at one of its places, and nothing is left over.
func matches(items []*item, at []place) bool {
	if len(items) == 0 {
		return len(at) == 0
	}
	for _, want := range items[0].may {
		if want.folder == "" {
			if matches(items[1:], at) {
				return true
			}
			continue
		}
		for i, got := range at {
			if got.folder == want.folder && (want.uid == 0 || want.uid == got.uid) && got.flags == want.flags &&
				matches(items[1:], slices.Delete(slices.Clone(at), i, i+1)) {
				return true
			}
		}
	}
	return false
}

func describe(items []*item) string {
	var texts []string
	for _, i := range items {
		texts = append(texts, fmt.Sprint(i.may))
	}
	return strings.Join(texts, " and ")
}

// verify reads the accounts on a mailstore and fails the test for every difference to their ledgers.
func (c *cluster) verify(i int, ledgers []*ledger) {
	c.t.Helper()
	var total verdict
	for _, l := range ledgers {
		session, err := login(c.store(i).imap, l.name)
		if err != nil {
			c.t.Fatalf("login of %s on mbox%d: %v", l.name, i, err)
		}
		v, err := session.check(l)
		session.close()
		if err != nil {
			c.t.Fatalf("%s on mbox%d: %v", l.name, i, err)
		}
		total.acknowledged, total.doubtful, total.messages = total.acknowledged+v.acknowledged, total.doubtful+v.doubtful, total.messages+v.messages
		for n, problem := range v.problems {
			if n == 15 {
				c.t.Errorf("… and %d more", len(v.problems)-n)
				break
			}
			c.t.Error(problem)
		}
	}
	c.t.Logf("mbox%d: %d acknowledged changes (%d in doubt), %d messages there", i, total.acknowledged, total.doubtful, total.messages)
}

func (c *client) check(l *ledger) (verdict, error) {
	folders, _, err := c.folders()
	if err != nil {
		return verdict{}, err
	}
	now, problems := map[string][]row{}, []string(nil)
	for _, folder := range folders {
		validity, rows, err := c.look(folder, 1)
		if err != nil {
			return verdict{}, fmt.Errorf("%s: %w", folder, err)
		}
		now[folder] = rows
		problems = append(problems, l.saw(folder, validity, rows)...)
	}
	v := l.compare(folders, now)
	v.problems = append(v.problems, problems...)
	return v, nil
}

// look selects a folder and fetches what is there from a UID on.
func (c *client) look(folder string, from uint64) (validity uint64, rows []row, err error) {
	lines, _, err := c.do("SELECT %s", folder)
	if err != nil {
		return 0, nil, err
	}
	rows, err = c.rows(fmt.Sprintf("%d:*", from))
	return number(validityCode, texts(lines)), rows, err
}
