package e2e_test

import (
	"strings"
	"testing"
	"time"
)

// TestAnyMailstore uses each mailstore for an account that lives on the first.
func TestAnyMailstore(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	names := c.accounts("any", 2)
	for i := 1; i <= 3; i++ {
		c.deliver(i, tagged(c.store(i).name, plain("by way of a mailstore")), names...)
	}
	for i := 1; i <= 3; i++ {
		session := c.login(i, names[0])
		if _, err := session.appendMessage("INBOX", `(\Seen) `, samples()[i]); err != nil {
			t.Errorf("APPEND by way of mbox%d: %v", i, err)
		}
	}
	shown := c.picture(1, names[0])
	for i := 2; i <= 3; i++ {
		same(t, names[0], c.picture(i, names[0]), shown)
	}
	if rows := c.rows(3, names[1], "INBOX"); len(rows) != 3 {
		t.Errorf("%d messages, want 3", len(rows))
	}
	for i := 1; i <= 3; i++ {
		c.strangers(i, names[0])
	}

	watcher := c.login(2, names[0]) // proxied to the home, which dies
	must(t, watcher, "SELECT INBOX")
	c.store(1).kill()
	for i := 2; i <= 3; i++ {
		c.homeless(i, names[0])
		c.strangers(i, names[0])
	}
	if words := lastWords(t, watcher); words != "" && !strings.Contains(words, "* BYE") {
		t.Errorf("a proxied session is told %q at the death of its home", words)
	}
	c.promote(3, names)
	for i := 2; i <= 3; i++ {
		same(t, names[0], c.picture(i, names[0]), shown)
	}
	for i := 2; i <= 3; i++ {
		c.deliver(i, plain("after"), names[0])
	}
}

// strangers are answered alike everywhere and always.
func (c *cluster) strangers(i int, name string) {
	c.t.Helper()
	if err := deliver(c.store(i).lmtp, plain("x"), "nobody@example.com"); !strings.HasPrefix(replyOf(err), "550 5.1.1") {
		c.t.Errorf("mbox%d: LMTP to an unknown recipient: %v, want 550 5.1.1", i, err)
	}
	for _, who := range []string{name, "nobody@example.com"} {
		session, _, err := connect(c.store(i).imap)
		if err != nil {
			c.t.Fatal(err)
		}
		if _, answer, err := session.do(`LOGIN "%s" "wrong"`, who); err == nil || !strings.Contains(answer, "[AUTHENTICATIONFAILED]") {
			c.t.Errorf("mbox%d: LOGIN of %s with a wrong password: %s %v", i, who, answer, err)
		}
		session.close()
	}
}

// homeless checks what a mailstore answers for an account whose home is away: come again, and soon.
func (c *cluster) homeless(i int, name string) {
	c.t.Helper()
	begun := time.Now()
	if err := deliver(c.store(i).lmtp, plain("later"), name); !strings.HasPrefix(replyOf(err), "451 4.") {
		c.t.Errorf("mbox%d: LMTP with the home away: %v, want 451 4.x.x", i, err)
	}
	_, err := login(c.store(i).imap, name)
	if err == nil || !strings.HasPrefix(err.Error(), "NO [UNAVAILABLE]") {
		c.t.Errorf("mbox%d: LOGIN with the home away: %v, want NO [UNAVAILABLE]", i, err)
	}
	if took := time.Since(begun); took > 20*time.Second {
		c.t.Errorf("mbox%d takes %s to say that the home is away", i, took)
	}
}
