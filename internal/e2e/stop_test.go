package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestStoppedSourceAcknowledgesNothing stops the source with SIGSTOP in the middle of work, promotes elsewhere, and lets it go
// on: what it is asked then was never acknowledged by it for the old reign, sessions end with BYE, and it rejoins.
func TestStoppedSourceAcknowledgesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	names := c.accounts("stop", 4)
	ledgers := newLedgers(names)
	work := c.load(ledgers, 3, 2, 1)
	work.more(30)

	idle := c.login(1, names[0])
	must(t, idle, "SELECT INBOX")
	if _, err := idle.begin("IDLE"); err != nil {
		t.Fatal(err)
	}
	writer := c.login(1, names[1])
	work.run(loadTime())
	c.store(1).stop()

	// Both wait in the sockets of the stopped process; it reads them when its reign is over.
	const lateID = "late-1"
	tag, err := writer.begin("APPEND INBOX {%d+}\r\n%s", len(tagged(lateID, plain("late"))), tagged(lateID, plain("late")))
	if err != nil {
		t.Fatal(err)
	}
	late := make(chan error, 1)
	go func() { late <- deliver(c.store(1).lmtp, tagged("late-2", plain("late by LMTP")), names[2]) }()

	c.must("MailReplica", "promoteAccounts", "source_mail_host", c.store(1).fqdn)
	other := c.load(ledgers, 2, 0, 2, 3) // the first load hangs in the stopped process
	other.more(30)
	c.store(1).cont()

	if text := lastWords(t, idle); !strings.Contains(text, "* BYE") {
		t.Errorf("the IDLE session on the old source ends with %q, want BYE", text)
	}
	_, answer, err := writer.finish(tag)
	lateAppended := err == nil
	if lateAppended {
		t.Errorf("the old source answers %q to an APPEND of its old reign", answer)
	}
	lateErr := <-late // it may be relayed to the new home: a positive answer must then be true
	work.via(1, 2, 3)
	work.more(30)
	work.finish()
	other.finish()
	c.settled(2, 2, names)
	for _, l := range ledgers {
		switch l.name {
		case names[1]:
			l.sending(lateID, tagged(lateID, plain("late")), place{folder: "INBOX"})
		case names[2]:
			at := l.sending("late-2", tagged("late-2", plain("late by LMTP")), place{folder: "INBOX"})
			if lateErr == nil {
				l.arrived(at, 0)
			}
		}
	}
	t.Logf("the delivery that waited in the stopped process: %v", lateErr)
	c.verify(2, ledgers)
	shown := c.pictures(2, names)
	c.promote(1, names)
	sameAll(t, c.pictures(1, names), shown)
}

// TestStoppedBrokerAndDestination stops what a source needs, and what it does not need.
func TestStoppedBrokerAndDestination(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	names := c.accounts("need", 2)
	ledgers := newLedgers(names)
	work := c.load(ledgers, 2, 1, 1)
	work.more(20)
	c.store(2).stop() // a destination: nothing happens
	work.more(30)
	c.store(2).cont()
	c.broker.stop() // the log: temporary failures, and everything later
	reader := c.login(1, names[0])
	reading := time.Now()
	must(t, reader, "NOOP")
	if took := time.Since(reading); took > 5*time.Second {
		t.Errorf("a session takes %s to answer NOOP without the log", took)
	}
	err := deliver(c.store(1).lmtp, plain("without the log"), names[0])
	if reply := replyOf(err); !strings.HasPrefix(reply, "4") {
		t.Errorf("a delivery without the log is answered %v, want 4xx", err)
	}
	c.broker.cont()
	work.more(30)
	work.finish()
	c.settled(1, 1, names)
	for _, l := range ledgers {
		if l.name == names[0] { // answered 4xx: it may be there once
			l.items[""] = append(l.items[""], &item{may: []place{{folder: "INBOX"}, {}}})
		}
	}
	c.verify(1, ledgers)
	shown := c.pictures(1, names)
	c.promote(2, names)
	sameAll(t, c.pictures(2, names), shown)
}

// must runs a command that has to succeed.
func must(t testing.TB, c *client, format string, args ...any) string {
	t.Helper()
	lines, answer, err := c.do(format, args...)
	if err != nil {
		t.Fatalf("%s: %v", fmt.Sprintf(format, args...), err)
	}
	return texts(lines) + "\n" + answer
}

// lastWords reads what a session is told until its connection ends.
func lastWords(t testing.TB, c *client) string {
	t.Helper()
	var all strings.Builder
	for {
		r, err := c.response()
		var network net.Error
		switch {
		case errors.Is(err, io.EOF):
			return all.String()
		case errors.As(err, &network) && network.Timeout():
			t.Errorf("the session is not ended; it was told %q", all.String())
			return all.String()
		case err != nil:
			return all.String()
		}
		all.WriteString(r.text + "\n")
	}
}
