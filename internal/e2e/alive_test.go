package e2e_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// TestPromoteAlive promotes accounts round the mailstores while all of them live and are worked on.
func TestPromoteAlive(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	names := c.accounts("alive", 4)
	ledgers := newLedgers(names)
	work := c.load(ledgers, 3, 3, 1, 2, 3)
	for range rounds() {
		for _, home := range []int{2, 3, 1} {
			work.more(20)
			c.promote(home, names)
		}
	}
	work.more(20)
	work.finish()
	c.settled(1, 2, names)
	c.verify(1, ledgers)
	shown := c.pictures(1, names)
	c.promote(3, names)
	sameAll(t, c.pictures(3, names), shown)
}

// TestRacingPromotions has two mailstores fence the same accounts at once, under load: one of them wins each.
func TestRacingPromotions(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	names := c.accounts("race", 4)
	ledgers := newLedgers(names)
	work := c.load(ledgers, 3, 2, 1, 2, 3)
	list := strings.Join(names, ",")
	for range rounds() {
		work.more(20)
		var racing sync.WaitGroup
		for i := 1; i <= 3; i++ {
			racing.Go(func() { // whoever loses may be refused; what is refused changes nothing
				r := c.carbonio("--host", c.store(i).fqdn, "MailReplica", "promoteAccounts", "accounts", list, "destination", c.store(i).fqdn)
				if r.code > 1 {
					t.Errorf("promotion on mbox%d: %s", i, r)
				}
			})
		}
		racing.Wait()
		work.more(20)
	}
	work.finish()
	c.promoteAll(2, names)
	c.settled(2, 2, names)
	c.verify(2, ledgers)
	shown := c.pictures(2, names)
	c.promote(3, names)
	sameAll(t, c.pictures(3, names), shown)
}

// promoteAll makes a mailstore the home of those accounts that live elsewhere.
func (c *cluster) promoteAll(i int, names []string) {
	c.t.Helper()
	var away []string
	for _, name := range names {
		if field(c.must("prov", "getAccount", name), "mailHost") != c.store(i).fqdn {
			away = append(away, name)
		}
	}
	if len(away) > 0 {
		eventually(c.t, availableWait, func() error { // a copy that lost a race reads on first
			if r := c.carbonio("MailReplica", "promoteAccounts", "accounts", strings.Join(away, ","), "destination", c.store(i).fqdn); r.code != 0 {
				return refusal{r.String()}
			}
			return nil
		})
	}
}

// TestOrderlyStop ends mailstores and the broker with SIGTERM under load, as for an upgrade.
func TestOrderlyStop(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	names := c.accounts("order", 3)
	ledgers := newLedgers(names)
	work := c.load(ledgers, 3, 2, 1, 2)
	for _, p := range c.processes() {
		work.more(20)
		p.terminate()
		p.start()
	}
	work.more(20)
	work.finish()
	c.settled(1, 1, names)
	c.verify(1, ledgers)
}

// TestSecondOfAName starts a mailstore a second time: it must refuse, and the first goes on.
func TestSecondOfAName(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	name := c.accounts("second", 1)[0]
	out, err := exec.Command(filepath.Join(bin, "mailstored"), c.store(1).args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "mailstored: ") {
		t.Errorf("a second process of one mailstore ends with %v:\n%s", err, out)
	}
	c.deliver(1, plain("the first goes on"), name)
}

// TestRemoveFromDeadMailstore removes a replica from a mailstore that is dead, which cleans up when it returns, and changes
// a priority.
func TestRemoveFromDeadMailstore(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	names := c.accounts("remove", 2)
	list := strings.Join(names, ",")
	c.store(3).kill()
	c.must("MailReplica", "removeAccountDestination", c.store(3).fqdn, "accounts", list)
	c.deliver(1, plain("while it is away"), names...)
	c.settled(1, 1, names)
	c.store(3).start()
	c.refused([]string{names[0]}, "MailReplica", "promoteAccounts", "accounts", list, "destination", c.store(3).fqdn)
	c.must("--sync", "MailReplica", "setAccountDestination", c.store(3).fqdn, "5", "accounts", list)
	c.settled(1, 2, names)
	c.must("--sync", "MailReplica", "setAccountDestination", c.store(2).fqdn, "1", "accounts", list)
	shown := c.pictures(1, names)
	c.store(1).kill()
	c.must("MailReplica", "promoteAccounts", "source_mail_host", c.store(1).fqdn)
	for _, name := range names {
		if out := c.must("prov", "getAccount", name); field(out, "mailHost") != c.store(2).fqdn {
			t.Errorf("%s: not the replica of lowest priority value was promoted: %s", name, out)
		}
	}
	sameAll(t, c.pictures(2, names), shown)
}

var vanishedLine = regexp.MustCompile(`VANISHED \(EARLIER\) (\S+)`)

// TestResynchronise lets a QRESYNC client come back after a promotion: it is told what changed since, and of nothing else.
func TestResynchronise(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	name := c.accounts("resync", 1)[0]
	for i := range 8 {
		c.deliver(1, tagged(fmt.Sprintf("r-%d", i), plain("resync")), name)
	}
	session := c.login(1, name)
	before := must(t, session, "SELECT INBOX (CONDSTORE)")
	validity, modseq := number(validityCode, before), number(modseqCode, before)
	must(t, session, `UID STORE 2 +FLAGS (\Seen)`)
	must(t, session, `UID STORE 3,4 +FLAGS (\Deleted)`)
	must(t, session, "UID EXPUNGE 3:4")
	c.store(1).kill()
	c.promote(2, []string{name})
	c.deliver(2, tagged("r-8", plain("resync")), name)
	back := c.login(2, name)
	must(t, back, "ENABLE QRESYNC")
	told := must(t, back, "SELECT INBOX (QRESYNC (%d %d))", validity, modseq)
	var fetched []uint64
	for line := range strings.SplitSeq(told, "\n") {
		if fetchLine.MatchString(line) {
			fetched = append(fetched, number(uidItem, line))
		}
	}
	if fmt.Sprint(fetched) != "[2 9]" {
		t.Errorf("told of messages %v, want 2 (flags) and 9 (new):\n%s", fetched, told)
	}
	if m := vanishedLine.FindStringSubmatch(told); m == nil || m[1] != "3:4" {
		t.Errorf("told of vanished messages %v, want 3:4:\n%s", m, told)
	}
	if now := number(validityCode, told); now != validity {
		t.Errorf("UIDVALIDITY was %d and is %d", validity, now)
	}
	latest := number(modseqCode, told)
	again := c.login(2, name)
	must(t, again, "ENABLE QRESYNC")
	if told := must(t, again, "SELECT INBOX (QRESYNC (%d %d))", validity, latest); strings.Contains(told, "FETCH") || strings.Contains(told, "VANISHED") {
		t.Errorf("a client that has everything is told:\n%s", told)
	}
}
