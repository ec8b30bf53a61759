package imap_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mailreplica/internal/imap"
	"mailreplica/internal/imap/memory"
	"mailreplica/internal/mailbox"
)

// TestSessionsAgree lets several sessions alter one folder at random, each keeping its own picture of it from what the
// server says alone, as a client does. When all have been told everything, all pictures are the folder.
func TestSessionsAgree(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { agree(t, seed) })
	}
}

func agree(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	b, m := backendWithTest()
	_, address := startServer(t, imap.Config{Backend: b, AllowPlaintext: true})
	var pictures []*picture
	subjects := map[string]string{}
	for i := range 4 {
		p := &picture{client: login(t, address), t: t, flags: map[string]string{}, subjects: subjects}
		if i%2 == 1 {
			p.ok("ENABLE QRESYNC")
			p.qresync = true
		}
		p.see(p.ok("SELECT INBOX"))
		pictures = append(pictures, p)
	}
	for range 150 {
		p := pictures[random.IntN(len(pictures))]
		p.act(random)
		if random.IntN(20) == 0 {
			prune(t, m)
		}
	}
	for _, p := range pictures {
		p.see(p.ok("NOOP"))
	}
	truth := &picture{client: login(t, address), t: t, flags: map[string]string{}, subjects: subjects}
	truth.see(truth.ok("EXAMINE INBOX"))
	truth.see(truth.ok("FETCH 1:* (UID FLAGS ENVELOPE)"))
	for i, p := range pictures {
		p.see(p.ok("UID FETCH 1:* (UID)"))
		if !slices.Equal(p.uids, truth.uids) {
			t.Errorf("session %d has %v, want %v", i, p.uids, truth.uids)
		}
		for _, uid := range p.uids {
			if got, known := p.flags[uid]; known && got != truth.flags[uid] {
				t.Errorf("session %d: message %s has %q, want %q", i, uid, got, truth.flags[uid])
			}
		}
	}
}

// prune removes tombstones under the sessions.
func prune(t *testing.T, m *memory.Mailbox) {
	t.Helper()
	err := m.Update(context.Background(), func(d *mailbox.Draft) error {
		inbox, _, err := d.FolderByName("INBOX")
		if err != nil {
			return err
		}
		return d.PruneTombstones(inbox.ID, d.Sequence())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// picture is what a client knows of the folder.
type picture struct {
	*client
	t       *testing.T
	qresync bool
	uids    []string          // by sequence number; "" is not known yet
	flags   map[string]string // by UID, as last told

	subjects map[string]string // by UID, of all pictures: they never change
}

func (p *picture) act(random *rand.Rand) {
	flag := []string{`\Seen`, `\Flagged`, `\Deleted`, "$a", "b"}[random.IntN(5)]
	set := "1:*"
	if n := len(p.uids); n > 0 {
		set = fmt.Sprintf("%d:%d", 1+random.IntN(n), 1+random.IntN(n))
	}
	uid := []string{"", "UID "}[random.IntN(2)]
	switch random.IntN(11) {
	case 0, 1:
		p.append(random)
	case 2:
		p.see(p.ok(uid + "STORE " + set + " +FLAGS (" + flag + ")"))
	case 3:
		p.store(uid, set, flag)
	case 4:
		p.see(p.ok("EXPUNGE"))
	case 5:
		p.see(p.ok(uid + "FETCH " + set + " (UID FLAGS)"))
	case 6:
		p.see(p.ok(uid + "MOVE " + set + " INBOX"))
	case 7:
		p.see(p.ok(uid + "SEARCH " + set))
	case 8:
		p.see(p.ok("NOOP"))
	case 9:
		p.see(p.ok(uid + "FETCH " + set + " (UID ENVELOPE)"))
	case 10:
		p.reopen()
	}
}

// append adds messages whose subjects are their own.
func (p *picture) append(random *rand.Rand) {
	command := "APPEND INBOX"
	for range 1 + random.IntN(4) {
		text := fmt.Sprintf("Subject: %016x\r\n\r\nhello", random.Uint64())
		command += fmt.Sprintf(" {%d+}\r\n%s", len(text), text)
	}
	p.see(p.ok(command))
}

// reopen forgets the picture and begins anew.
func (p *picture) reopen() {
	p.uids, p.flags = nil, map[string]string{}
	p.see(p.ok("SELECT INBOX"))
	p.see(p.ok("FETCH 1:* (UID FLAGS)"))
}

// store is silent: the client must know itself what became of its flags, so it asks.
func (p *picture) store(uid, set, flag string) {
	p.see(p.ok(uid + "STORE " + set + " -FLAGS.SILENT (" + flag + ")"))
	p.see(p.ok("FETCH 1:* (UID FLAGS)"))
}

var (
	uidItem   = regexp.MustCompile(`UID (\d+)`)
	subject   = regexp.MustCompile(`ENVELOPE \(NIL "([0-9a-f]+)"`)
	flagsItem = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
)

// see keeps the picture as RFC 3501 section 7 has it.
func (p *picture) see(lines []string) {
	p.t.Helper()
	for _, line := range lines {
		words := strings.SplitN(line, " ", 4)
		if words[0] != "*" || len(words) < 3 {
			continue
		}
		n, _ := strconv.Atoi(words[1])
		switch {
		case words[2] == "EXISTS":
			if n < len(p.uids) {
				p.t.Fatalf("EXISTS %d after %d: a message went without EXPUNGE", n, len(p.uids))
			}
			for len(p.uids) < n {
				p.uids = append(p.uids, "")
			}
		case words[2] == "EXPUNGE":
			if p.qresync || n > len(p.uids) {
				p.t.Fatalf("%s with %d messages (QRESYNC %v)", line, len(p.uids), p.qresync)
			}
			p.uids = slices.Delete(p.uids, n-1, n)
		case words[1] == "VANISHED":
			p.vanish(line)
		case words[2] == "FETCH":
			p.fetched(n, words[3])
		}
	}
	if p.qresync && slices.Contains(p.uids, "") { // it could not place what vanishes
		p.see(p.ok("UID FETCH 1:* (UID)"))
	}
}

func (p *picture) fetched(n int, items string) {
	p.t.Helper()
	if n > len(p.uids) {
		p.t.Fatalf("FETCH of %d among %d", n, len(p.uids))
	}
	if uid := uidItem.FindStringSubmatch(items); uid != nil {
		if known := p.uids[n-1]; known != "" && known != uid[1] {
			p.t.Fatalf("message %d had UID %s and has %s", n, known, uid[1])
		}
		p.uids[n-1] = uid[1]
	}
	if told := subject.FindStringSubmatch(items); told != nil {
		if known := p.subjects[p.uids[n-1]]; known != "" && known != told[1] {
			p.t.Fatalf("message %s had the subject %s and has %s", p.uids[n-1], known, told[1])
		}
		p.subjects[p.uids[n-1]] = told[1]
	}
	if flags := flagsItem.FindStringSubmatch(items); flags != nil && p.uids[n-1] != "" {
		p.flags[p.uids[n-1]] = strings.TrimSpace(strings.Replace(flags[1], `\Recent`, "", 1))
		p.flags[p.uids[n-1]] = strings.Join(strings.Fields(p.flags[p.uids[n-1]]), " ")
	}
}

func (p *picture) vanish(line string) {
	p.t.Helper()
	for part := range strings.SplitSeq(strings.Fields(line)[2], ",") {
		from, to, isRange := strings.Cut(part, ":")
		if !isRange {
			to = from
		}
		for uid := atoi(from); uid <= atoi(to); uid++ {
			at := slices.Index(p.uids, strconv.Itoa(uid))
			if at < 0 {
				at = p.unknown(uid)
			}
			if at < 0 {
				p.t.Fatalf("%s: %d is not known among %v", line, uid, p.uids)
			}
			p.uids = slices.Delete(p.uids, at, at+1)
		}
	}
}

// unknown finds a message that has not told its UID where one with this UID would be.
func (p *picture) unknown(uid int) int {
	at := len(p.uids)
	for at > 0 && (p.uids[at-1] == "" || atoi(p.uids[at-1]) > uid) {
		at--
		if p.uids[at] == "" {
			return at
		}
	}
	return -1
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
