package e2e_test

import (
	"strings"
	"testing"
)

// TestPause pauses, works, has promotion refused, restarts, and promotes; then pauses again and accepts the loss.
func TestPause(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	names := c.accounts("pause", 3)
	list := strings.Join(names, ",")
	ledgers := newLedgers(names)
	work := c.load(ledgers, 2, 2, 1)
	work.more(20)
	c.must("MailReplica", "pauseReplicas", "accounts", list)
	c.broker.stop() // nobody needs it during a pause
	work.more(40)
	c.broker.cont()
	c.refused([]string{"paused", names[0]}, "MailReplica", "promoteAccounts", "accounts", list)
	c.store(1).kill()
	c.refused([]string{"paused", names[0]}, "MailReplica", "promoteAccounts", "source_mail_host", c.store(1).fqdn)
	c.store(1).start() // the journal is kept
	work.more(20)
	c.must("MailReplica", "restartReplicas", "accounts", list)
	work.more(20)
	work.finish()
	c.settled(1, 1, names)
	c.verify(1, ledgers)
	shown := c.pictures(1, names)
	c.promote(2, names)
	c.verify(2, ledgers)
	sameAll(t, c.pictures(2, names), shown)
	c.acceptLoss(names)
}

// acceptLoss promotes a paused account: what was written in the pause is lost, UIDs are made invalid, nothing else is.
func (c *cluster) acceptLoss(names []string) {
	c.t.Helper()
	c.settled(2, 1, names)
	list := strings.Join(names, ",")
	before := c.rows(2, names[0], "INBOX")
	validity := c.validity(2, names[0])
	c.must("MailReplica", "pauseReplicas", "accounts", list)
	c.deliver(2, tagged("in the pause", plain("in the pause")), names[0])
	c.store(2).kill()
	c.refused([]string{"paused"}, "MailReplica", "promoteAccounts", "accounts", list)
	r := c.carbonio("MailReplica", "promoteAccounts", "accounts", list, "acceptLoss", "true")
	if r.code != 0 {
		c.t.Fatalf("promoteAccounts acceptLoss true: %s", r)
	}
	after := c.rows(1, names[0], "INBOX")
	if len(after) != len(before) {
		c.t.Errorf("%d messages after the loss, want the %d from before the pause", len(after), len(before))
	}
	for i := range min(len(before), len(after)) {
		if before[i].body != after[i].body {
			c.t.Errorf("message %d: %+v, want %+v", i+1, after[i], before[i])
		}
	}
	if now := c.validity(1, names[0]); now <= validity {
		c.t.Errorf("UIDVALIDITY was %d and is %d: UIDs may have been used twice", validity, now)
	}
	c.deliver(1, plain("after the loss"), names...)
	c.store(2).start() // its copies have diverged, and are made anew
	c.settled(1, 1, names)
	shown := c.pictures(1, names)
	c.promote(2, names)
	sameAll(c.t, c.pictures(2, names), shown)
}

func (c *cluster) validity(i int, name string) uint64 {
	c.t.Helper()
	session, err := login(c.store(i).imap, name)
	if err != nil {
		c.t.Fatal(err)
	}
	defer session.close()
	return number(validityCode, must(c.t, session, "EXAMINE INBOX"))
}
