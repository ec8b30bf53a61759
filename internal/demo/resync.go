package main

import (
	"fmt"
	"strings"
)

// resync is a client that comes back after the promotion and asks only for what has changed since (RFC 7162).
type resync struct {
	before   folder
	messages int // in the folder now
	told     int // of which the client was told
}

// run resynchronises INBOX of an account and checks that the client was told of every message that is new or changed, and of
// no other.
func (r *resync) run(addr, account string) error {
	c, err := dialIMAP(addr, account, password)
	if err != nil {
		return err
	}
	defer c.close()
	if _, _, err := c.do("ENABLE QRESYNC"); err != nil {
		return err
	}
	lines, _, err := c.do("SELECT INBOX (QRESYNC (%d %d))", r.before.validity, r.before.modseq)
	if err != nil {
		return err
	}
	told := map[uint64]bool{}
	for _, line := range lines {
		if fetchLine.MatchString(line) {
			told[number(uidItem, line)] = true
		}
		if strings.Contains(line, "VANISHED") {
			return fmt.Errorf("a client that comes back is told that messages vanished: %s", line)
		}
	}
	if got := number(validityCode, strings.Join(lines, "\n")); got != r.before.validity {
		return fmt.Errorf("UIDVALIDITY was %d and is %d", r.before.validity, got)
	}
	lines, _, err = c.do("UID FETCH 1:* (MODSEQ)")
	if err != nil {
		return err
	}
	for _, line := range lines {
		if !fetchLine.MatchString(line) {
			continue
		}
		r.messages++
		uid, changed := number(uidItem, line), number(modseqItem, line) > r.before.modseq
		if changed != told[uid] {
			return fmt.Errorf("message %d: changed since the client was here: %v, told of: %v", uid, changed, told[uid])
		}
	}
	r.told = len(told)
	return nil
}
