package e2e_test

import "testing"

// TestKillSourceUnderLoad kills the source at a moment that nobody can foresee, promotes, goes on, lets the old source
// return, and promotes back; every acknowledged change is looked for each time.
func TestKillSourceUnderLoad(t *testing.T) {
	c := newCluster(t, 3)
	names := c.accounts("kill", 6)
	ledgers := newLedgers(names)
	for range rounds() {
		work := c.load(ledgers, 4, 3, 1, 3)
		work.more(20)
		work.run(loadTime())
		c.store(1).kill()
		work.via(2, 3)
		c.must("MailReplica", "promoteAccounts", "source_mail_host", c.store(1).fqdn)
		work.more(40)
		c.store(1).start()
		work.more(40)
		work.finish()
		c.settled(2, 2, names)
		c.verify(2, ledgers)
		shown := c.pictures(2, names)
		c.promote(1, names)
		c.settled(1, 2, names)
		c.verify(1, ledgers)
		sameAll(t, c.pictures(1, names), shown)
		c.noBodyMissing()
	}
}
