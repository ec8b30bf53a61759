package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestAccountLife makes, changes and deletes accounts, and uses their names again.
func TestAccountLife(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	names := c.accounts("life", 3)
	name := names[0]
	for i := 1; i <= 3; i++ {
		c.statuses(i, name)
	}
	c.endsSessions(name, "status", "locked")
	c.must("prov", "modifyAccount", name, "status", "active")
	c.endsSessions(name, "password", "another one")
	for i := 1; i <= 3; i++ {
		session, _, err := connect(c.store(i).imap)
		if err != nil {
			t.Fatal(err)
		}
		if _, answer, err := session.do(`LOGIN "%s" "%s"`, name, password); err == nil || !strings.Contains(answer, "AUTHENTICATIONFAILED") {
			t.Errorf("mbox%d takes the old password: %s %v", i, answer, err)
		}
		if _, _, err := session.do(`LOGIN "%s" "another one"`, name); err != nil {
			t.Errorf("mbox%d does not take the new password: %v", i, err)
		}
		session.close()
	}
	c.must("prov", "modifyAccount", name, "password", password)
	c.refused([]string{"promot"}, "prov", "modifyAccount", name, "mailHost", c.store(2).fqdn)
	if home := c.must("prov", "getAccount", name); !strings.Contains(home, "mailHost "+c.store(1).fqdn) {
		t.Errorf("after a refused change: %s", home)
	}

	c.deleted(names[1], 2) // a replica is away, and returns
	c.deleted(names[2], 3)
	if kept := c.picture(1, name); len(kept) < 5 {
		t.Errorf("the account that stays shows %v", kept)
	}
}

// statuses checks what each status answers.
func (c *cluster) statuses(i int, name string) {
	c.t.Helper()
	for _, one := range []struct{ status, lmtp, imap string }{
		{"locked", "", "NO "}, {"maintenance", "450 4.2.1", "NO [ALERT]"}, {"closed", "550", "NO "}, {"active", "", ""},
	} {
		c.must("prov", "modifyAccount", name, "status", one.status)
		err := deliver(c.store(i).lmtp, plain(fmt.Sprintf("while %s, by mbox%d", one.status, i)), name)
		if reply := replyOf(err); (one.lmtp == "") != (err == nil) || !strings.HasPrefix(reply, one.lmtp) {
			c.t.Errorf("mbox%d, %s: LMTP answers %v, want %q", i, one.status, err, one.lmtp)
		}
		session, err := login(c.store(i).imap, name)
		if (one.imap == "") != (err == nil) || err != nil && !strings.HasPrefix(err.Error(), one.imap) {
			c.t.Errorf("mbox%d, %s: LOGIN answers %v, want %q", i, one.status, err, one.imap)
		}
		if err == nil {
			session.close()
		}
	}
}

// endsSessions checks that a change ends the sessions of the account, on its home and by way of another mailstore.
func (c *cluster) endsSessions(name, what, to string) {
	c.t.Helper()
	here, there := c.login(1, name), c.login(3, name)
	must(c.t, here, "SELECT INBOX")
	must(c.t, there, "SELECT INBOX")
	c.must("prov", "modifyAccount", name, what, to)
	for _, session := range []*client{here, there} {
		if words := lastWords(c.t, session); !strings.Contains(words, "* BYE") {
			c.t.Errorf("a new %s ends a session with %q, want BYE", what, words)
		}
	}
}

// deleted deletes an account while one of its mailstores is away, uses the name again, and lets the mailstore return.
func (c *cluster) deleted(name string, away int) {
	c.t.Helper()
	c.deliver(1, tagged("first", plain("of the first")), name)
	session := c.login(1, name)
	must(c.t, session, "SELECT INBOX")
	before := c.must("prov", "getAccount", name)
	c.store(away).kill()
	c.must("prov", "deleteAccount", name)
	if words := lastWords(c.t, session); !strings.Contains(words, "* BYE") {
		c.t.Errorf("deleting an account ends its session with %q, want BYE", words)
	}
	if err := deliver(c.store(1).lmtp, plain("x"), name); !strings.HasPrefix(replyOf(err), "550") {
		c.t.Errorf("LMTP to a deleted account: %v, want 550", err)
	}
	c.refused([]string{name}, "prov", "getAccount", name)
	c.createAccount(name, 1)
	c.store(away).start()
	c.must("--sync", "MailReplica", "setAccountDestination", c.store(away).fqdn, "10", "accounts", name)
	if rows := c.rows(1, name, "INBOX"); len(rows) != 0 {
		c.t.Errorf("the new account of the name shows the old one's mail: %+v", rows)
	}
	c.deliver(away, tagged("second", plain("of the second")), name)
	eventually(c.t, availableWait, func() error { return c.equal(1, 1, []string{name}) })
	c.promote(away, []string{name})
	rows := c.rows(away, name, "INBOX")
	if len(rows) != 1 || rows[0].id != "second" {
		c.t.Errorf("the new account holds %+v after its promotion on the mailstore that was away", rows)
	}
	if after := c.must("prov", "getAccount", name); field(after, "accountId") == field(before, "accountId") {
		c.t.Errorf("the id of a deleted account is used again: %s", after)
	}
}

// field reads one "key value" line.
func field(text, key string) string {
	for line := range strings.SplitSeq(text, "\n") {
		if value, ok := strings.CutPrefix(line, key+" "); ok {
			return value
		}
	}
	return ""
}

// TestSourceReturnsAfterDeletion deletes accounts whose source is dead: it cannot bring them back.
func TestSourceReturnsAfterDeletion(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	names := c.accounts("gone", 2)
	c.deliver(1, tagged("old", plain("old")), names...)
	c.store(1).kill()
	c.promote(2, names[:1])
	c.must("prov", "deleteAccount", names[0])
	c.createAccount(names[0], 2)
	c.deliver(2, tagged("new", plain("new")), names[0])
	c.store(1).start()
	c.settled(1, 1, names[1:])
	eventually(t, 20*time.Second, func() error {
		for i := 1; i <= 2; i++ {
			if rows := c.rows(i, names[0], "INBOX"); len(rows) != 1 || rows[0].id != "new" {
				return fmt.Errorf("by way of mbox%d the new account holds %+v", i, rows)
			}
		}
		return nil
	})
}
