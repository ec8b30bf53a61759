package e2e_test

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"
)

// TestBadInputChangesNothing gives the admin CLI what it must refuse: exit status 1, one clear line, nothing changed.
func TestBadInputChangesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	name := c.accounts("input", 1)[0]
	c.createAccount("single@example.com", 1)
	c.must("prov", "createDistributionList", "team@example.com")
	bad := c.write("bad.txt", "single@example.com\n# a comment\nnot an account\n")

	m1, m2 := c.store(1).fqdn, c.store(2).fqdn
	cases := []struct {
		words   []string
		command []string
	}{
		{[]string{"nobody@example.com"}, []string{"MailReplica", "setAccountDestination", m2, "10", "accounts", "nobody@example.com"}},
		{[]string{"mbox9.example.com"}, []string{"MailReplica", "setAccountDestination", "mbox9.example.com", "10", "accounts", "single@example.com"}},
		{[]string{"pattern"}, []string{"MailReplica", "setAccountDestination", m2, "10", "accounts", "sin*@example.com"}},
		{[]string{"team@example.com", "list"}, []string{"MailReplica", "setAccountDestination", m2, "10", "accounts", "team@example.com"}},
		{[]string{m1, "home"}, []string{"MailReplica", "setAccountDestination", m1, "10", "accounts", "single@example.com"}},
		{[]string{"priority", "ten"}, []string{"MailReplica", "setAccountDestination", m2, "ten", "accounts", "single@example.com"}},
		{[]string{"missing.txt"}, []string{"MailReplica", "setAccountDestination", m2, "10", "input_file", c.path("missing.txt")}},
		{[]string{"line 3"}, []string{"MailReplica", "setAccountDestination", m2, "10", "input_file", bad}},
		{nil, []string{"MailReplica", "setAccountDestination", m2, "10"}},
		{[]string{"nobody@example.com"}, []string{"MailReplica", "setAccountDestination", m2, "10", "accounts", "single@example.com,nobody@example.com"}},
		{[]string{"priority"}, []string{"MailReplica", "setAccountDestination", m2}},
		{nil, []string{"MailReplica", "promoteAccounts"}},
		{[]string{"mbox9.example.com"}, []string{"MailReplica", "promoteAccounts", "source_mail_host", "mbox9.example.com"}},
		{[]string{"single@example.com"}, []string{"MailReplica", "promoteAccounts", "accounts", "single@example.com"}},
		{nil, []string{"MailReplica", "promoteAccounts", "accounts", name, "destination", m1}},
		{nil, []string{"MailReplica", "pauseReplicas"}},
		{[]string{"single@example.com"}, []string{"MailReplica", "pauseReplicas", "accounts", "single@example.com"}},
		{[]string{"single@example.com"}, []string{"prov", "createAccount", "single@example.com", "x"}},
		{[]string{"team@example.com"}, []string{"prov", "createAccount", "team@example.com", "x"}},
		{nil, []string{"prov", "createAccount", "no address", "x"}},
		{[]string{"mbox9.example.com"}, []string{"prov", "createAccount", "other@example.com", "x", "mailHost", "mbox9.example.com"}},
		{[]string{"nobody@example.com"}, []string{"prov", "deleteAccount", "nobody@example.com"}},
		{[]string{"asleep"}, []string{"prov", "modifyAccount", name, "status", "asleep"}},
		{nil, []string{"prov", "deleteServer", m1}},
		{[]string{"127.0.0.1:1"}, []string{"config", "set", "global", "brokers", "127.0.0.1:1"}},
		{[]string{"colour"}, []string{"config", "set", "global", "colour", "blue"}},
		{[]string{"frobnicate"}, []string{"MailReplica", "frobnicate"}},
		{[]string{"setAccountDestination"}, []string{"MailReplica", "setAccountDestination"}},
	}
	before, picture := c.everything(), c.picture(1, name)
	for _, one := range cases {
		begun := time.Now()
		r := c.refused(one.words, one.command...)
		first, _, _ := strings.Cut(r.err, "\n")
		if !strings.HasPrefix(first, "carbonio: ") && r.out == "" {
			t.Errorf("%v: the first line is %q, want what is wrong", one.command, first)
		}
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("%v is refused after %s", one.command, took)
		}
		if strings.Contains(r.err+r.out, "goroutine") || strings.Contains(r.err+r.out, "sql") {
			t.Errorf("%v shows internals: %s", one.command, r)
		}
	}
	c.refused(nil, "MailReplica", "setAccountDestination", m2, "10", "input_file", c.dir) // a folder
	if after := c.everything(); after != before {
		t.Errorf("refused commands have changed something:\n%s\nbefore:\n%s", after, before)
	}
	same(t, name, c.picture(1, name), picture)
	c.broker.kill()
	c.refused([]string{"broker"}, "MailReplica", "setAccountDestination", m2, "10", "accounts", "single@example.com")
	c.broker.start()
	eventually(t, 30*time.Second, func() error { // whether brokers can be reached is shown, too
		if after := c.everything(); after != before {
			return fmt.Errorf("a command without brokers has changed something:\n%s\nbefore:\n%s", after, before)
		}
		return nil
	})
}

// everything is what an administrator sees, but for what changes by itself.
func (c *cluster) everything() string {
	c.t.Helper()
	var all strings.Builder
	for _, command := range [][]string{{"prov", "getAllAccounts"}, {"config", "get", "global"}, {"MailReplica", "getAccountStatus"}} {
		all.WriteString(c.must(command...))
	}
	return all.String()
}

// TestDirectoryAway moves the directory's file away, and back.
func TestDirectoryAway(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	names := c.accounts("dir", 2)
	ledgers := newLedgers(names)
	work := c.load(ledgers, 2, 1, 1, 2)
	work.more(20)
	folder, away := c.path("directory"), c.path("away")
	if err := os.Rename(folder, away); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	work.more(40) // known accounts go on, new logins included
	for _, command := range [][]string{
		{"prov", "createAccount", "late@example.com", password}, {"prov", "modifyAccount", names[0], "status", "locked"},
		{"MailReplica", "promoteAccounts", "accounts", names[0]}, {"MailReplica", "pauseReplicas", "accounts", names[0]},
	} {
		c.refused([]string{"directory"}, command...)
	}
	if err := deliver(c.store(1).lmtp, plain("x"), "unheard@example.com"); !strings.HasPrefix(replyOf(err), "451") {
		t.Errorf("LMTP to an account that nobody can look up: %v, want 451", err)
	}
	c.store(1).restart() // it starts and serves without the directory
	work.more(40)
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, folder); err != nil {
		t.Fatal(err)
	}
	work.more(20)
	work.finish()
	eventually(t, 30*time.Second, func() error {
		if r := c.carbonio("prov", "createAccount", "late@example.com", password); r.code != 0 {
			return refusal{r.String()}
		}
		return nil
	})
	if err := deliver(c.store(2).lmtp, plain("x"), "unheard@example.com"); !strings.HasPrefix(replyOf(err), "550") {
		t.Errorf("LMTP to an unknown account: %v, want 550", err)
	}
	c.settled(1, 1, names)
	c.verify(1, ledgers)
	shown := c.pictures(1, names)
	c.promote(2, names)
	sameAll(t, c.pictures(2, names), shown)
}

// TestPicturesDiffer makes sure that a picture sees what it is there to see.
func TestPicturesDiffer(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	name := c.accounts("pic", 1)[0]
	c.deliver(1, tagged("one", samples()[2]), name)
	session := c.login(1, name)
	must(t, session, "SELECT INBOX")
	before := c.picture(1, name)
	for _, command := range []string{`UID STORE 1 +FLAGS (\Seen)`, "CREATE Other", "SUBSCRIBE Other", "UID COPY 1 Other", "UNSUBSCRIBE Other",
		"RENAME Other Another", `UID STORE 1 FLAGS ()`, "UID EXPUNGE 1"} {
		must(t, session, "%s", command)
		after := c.picture(1, name)
		if maps.Equal(after, before) && command != "UID EXPUNGE 1" {
			t.Errorf("%s changes nothing in the picture", command)
		}
		before = after
	}
	for _, key := range []string{"SELECT INBOX", "STATUS INBOX", "LIST Another", "INBOX 1"} {
		if before[key] == "" {
			t.Errorf("the picture has no %s: %v", key, before)
		}
	}
	for _, item := range []string{"ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE", "RFC822.SIZE", "body ", "modseq "} {
		if !strings.Contains(before["INBOX 1"], item) {
			t.Errorf("a message's picture has no %s: %s", item, before["INBOX 1"])
		}
	}
}
