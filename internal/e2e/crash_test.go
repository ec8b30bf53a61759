package e2e_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to look into the directory
)

// TestKillBroker kills the event log under load.
func TestKillBroker(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	names := c.accounts("broker", 4)
	ledgers := newLedgers(names)
	work := c.load(ledgers, 3, 2, 1)
	for range rounds() {
		work.more(20)
		work.run(loadTime() / 2)
		c.broker.kill()
		c.broker.start()
		work.more(30)
	}
	work.finish()
	c.settled(1, 1, names)
	c.verify(1, ledgers)
	shown := c.pictures(1, names)
	c.promote(2, names)
	sameAll(t, c.pictures(2, names), shown)
	c.verify(2, ledgers)
}

// TestKillDestination kills a destination while it is made a copy of, and while it applies what the source does.
func TestKillDestination(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	names := make([]string, 12)
	for i := range names {
		names[i] = fmt.Sprintf("copy%02d@example.com", i+1)
		c.createAccount(names[i], 1)
	}
	ledgers := newLedgers(names)
	work := c.load(ledgers, 3, 2, 1)
	work.more(60)
	c.must("MailReplica", "setAccountDestination", c.store(2).fqdn, "10", "all")
	for i := range rounds() { // kills fall into initialisation first, then into applying
		work.run(loadTime() / 4)
		c.store(2).kill()
		if i == 0 {
			work.more(20)
		}
		c.store(2).start()
	}
	eventually(t, availableWait, func() error {
		all, err := c.status()
		if err != nil {
			return err
		}
		for _, a := range all {
			if len(a.Replicas) != 1 || !a.Replicas[0].Available {
				return fmt.Errorf("%s: %+v", a.AccountName, a.Replicas)
			}
		}
		return nil
	})
	c.store(2).kill() // while it applies
	work.more(30)
	c.store(2).start()
	work.finish()
	c.settled(1, 1, names)
	shown := c.pictures(1, names)
	c.store(1).kill()
	c.promote(2, names)
	c.verify(2, ledgers)
	sameAll(t, c.pictures(2, names), shown)
}

// TestKillEverything ends all processes at once, as a power cut does, and starts them again in any order.
func TestKillEverything(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	names := c.accounts("all", 4)
	ledgers := newLedgers(names)
	work := c.load(ledgers, 3, 2, 1, 2)
	for range rounds() {
		work.more(20)
		work.run(loadTime() / 2)
		var killing sync.WaitGroup
		for _, p := range c.processes() {
			killing.Go(p.kill)
		}
		killing.Wait()
		for i := len(c.stores); i > 0; i-- {
			c.store(i).begin() // without the log at first
		}
		c.broker.start()
		for _, m := range c.stores {
			m.ready()
		}
		work.more(30)
	}
	work.finish()
	c.settled(1, 2, names)
	c.verify(1, ledgers)
	shown := c.pictures(1, names)
	c.promote(3, names)
	sameAll(t, c.pictures(3, names), shown)
}

// TestKillPromoting kills the promoting mailstore in the middle of many accounts; the operation is resumed and finished.
func TestKillPromoting(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3) // the third holds nothing; it tells how far the others are
	names := c.manyAccounts(setting("E2E_ACCOUNTS", 500))
	mta, err := dialLMTP(c.store(1).lmtp)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		if err := transfer(mta, tagged(fmt.Sprintf("m-%d", i), plain("for "+name)), name); err != nil {
			t.Fatal(err)
		}
	}
	moved := c.interrupt(names)
	for range interruptTriesMax {
		if moved > 0 && moved < len(names) {
			break
		}
		c.store(1).start()
		c.settled(2, 1, names)
		c.promote(1, names)
		c.settled(1, 1, names)
		moved = c.interrupt(names)
	}
	if moved == 0 || moved == len(names) {
		t.Errorf("no promotion was interrupted in the middle: %d of %d accounts had moved", moved, len(names))
	}
	t.Logf("killed after %d of %d accounts", moved, len(names))
	for i := 0; i < len(names); i += 1 + len(names)/50 {
		eventually(t, availableWait, func() error { // the mailstore and the log have just started
			return deliver(c.store(2).lmtp, tagged("again", plain("after")), names[i])
		})
		rows := c.rows(2, names[i], "INBOX")
		if len(rows) != 2 || rows[0].id != fmt.Sprintf("m-%d", i) || rows[1].id != "again" {
			t.Errorf("%s holds %+v, want its message and a later one", names[i], rows)
		}
	}
	c.store(1).start()
	c.settled(2, 1, names)
}

const interruptTriesMax = 6

// interrupt kills the first mailstore, promotes its accounts on the second, kills that one in the middle, starts it again, and
// waits for the command. It gives how many accounts had moved at the kill.
func (c *cluster) interrupt(names []string) (moved int) {
	c.t.Helper()
	c.store(1).kill()
	ended := make(chan result, 1)
	go func() {
		ended <- c.carbonio("--host", c.store(2).fqdn, "--json", "--sync", "MailReplica", "promoteAccounts", "source_mail_host", c.store(1).fqdn, "threads", "1")
	}()
	// All move within some tenths of a second, many at once: only the directory's own file tells in time.
	directory, err := sql.Open("sqlite", "file:"+c.path("directory", "directory.db")+"?mode=ro")
	if err != nil {
		c.t.Fatal(err)
	}
	defer directory.Close()
	enough := rand.IntN(1 + len(names)/4)
	for end := time.Now().Add(availableWait); ; time.Sleep(100 * time.Microsecond) {
		var n int
		err := directory.QueryRow("SELECT count(*) FROM accounts WHERE mail_host = ?", c.store(2).fqdn).Scan(&n)
		if n > enough {
			break
		}
		if time.Now().After(end) {
			c.t.Fatalf("%d accounts have moved after %s (%v)", n, availableWait, err)
		}
	}
	c.store(2).kill()
	moved = c.homesOn(2)
	c.broker.kill() // as when a whole machine fails; what was begun is taken up before the log is back
	c.store(2).start()
	c.broker.start()
	r := <-ended
	var answer struct {
		Response struct {
			Values []operation `json:"values"`
		} `json:"response"`
	}
	if err := json.Unmarshal([]byte(r.out), &answer); err != nil || r.code != 0 || len(answer.Response.Values) != 1 {
		c.t.Fatalf("the command that waited for the promotion: %v, %s", err, r)
	}
	if op := answer.Response.Values[0]; op.State != "successful" || op.Done != len(names) || op.Total != len(names) {
		c.t.Errorf("the operation is %+v, want %d accounts done", op, len(names))
	}
	return moved
}

// homesOn counts the accounts of a mailstore, as the last one sees it.
func (c *cluster) homesOn(i int) int {
	r := c.carbonio("--host", c.store(len(c.stores)).fqdn, "prov", "getAllAccounts", "mailHost", c.store(i).fqdn)
	return strings.Count(r.out, "accountName ")
}

// manyAccounts makes accounts on the first mailstore with replicas on the second.
func (c *cluster) manyAccounts(n int) []string {
	c.t.Helper()
	names := make([]string, n)
	next := make(chan string, n)
	for i := range names {
		names[i] = fmt.Sprintf("many%04d@example.com", i+1)
		next <- names[i]
	}
	close(next)
	var making sync.WaitGroup
	for range 8 {
		making.Go(func() {
			for name := range next {
				if r := c.carbonio("prov", "createAccount", name, password, "mailHost", c.store(1).fqdn); r.code != 0 || r.err != "" {
					c.t.Errorf("createAccount: %s", r)
				}
			}
		})
	}
	making.Wait()
	list := c.write("accounts.txt", strings.Join(names, "\n"))
	c.must("--sync", "MailReplica", "setAccountDestination", c.store(2).fqdn, "10", "input_file", list)
	return names
}
