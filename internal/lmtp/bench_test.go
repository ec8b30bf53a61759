package lmtp_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/lmtp"
)

// taker takes every mail, reads it and keeps nothing.
type taker struct{ id account.ID }

func (b taker) Recipient(_ context.Context, address string, _ bool) (lmtp.Recipient, error) {
	return lmtp.Recipient{Account: b.id, Name: address}, nil
}

func (b taker) Deliver(_ context.Context, m *lmtp.Mail) []lmtp.Outcome {
	key := m.Key(m.Recipients[0])
	trace := bytes.NewReader(m.Trace("mbox1.example.com", m.Recipients[0]))
	if _, err := io.Copy(io.Discard, io.MultiReader(trace, m.Body.Reader())); err != nil {
		return []lmtp.Outcome{{Err: err}}
	}
	return []lmtp.Outcome{{Receipt: lmtp.Receipt{Account: b.id, Key: key}}}
}

func (taker) Answered([]lmtp.Receipt, bool) {}

// BenchmarkSession is what the protocol costs a mail of 8 KB, the client's side of it included, without what becomes of the mail.
func BenchmarkSession(b *testing.B) {
	_, addr := start(b, lmtp.Config{Backend: taker{account.NewID()}})
	c := open(b, addr)
	if err := c.conn.SetDeadline(time.Now().Add(time.Hour)); err != nil {
		b.Fatal(err)
	}
	mail := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 62)+"\r\n", 128) + ".\r\n"
	replies := func(n int) {
		for range n {
			if line, err := c.in.ReadSlice('\n'); err != nil || line[0] > '3' {
				b.Fatalf("%s, %v", line, err)
			}
		}
	}
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before) // never fails so
	b.ReportAllocs()
	for b.Loop() {
		c.say("MAIL FROM:<sender@example.org>\r\nRCPT TO:<user@example.com>\r\nDATA\r\n")
		replies(3)
		c.say(mail)
		replies(1)
	}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(used)/float64(b.N)/1000, "cpu-µs/mail")
}
