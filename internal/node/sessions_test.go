package node_test

import (
	"bufio"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/node/nodetest"
)

// TestChangesThatEndSessions changes an account while a session watches it: the session is told the true reason.
func TestChangesThatEndSessions(t *testing.T) {
	c := nodetest.Start(t, 1)
	locked, maintenance, closed, active := directory.Locked, directory.Maintenance, directory.Closed, directory.Active
	hash := "another"
	for _, test := range []struct {
		name   string
		update directory.AccountUpdate
		want   fault.Kind
	}{
		{"locked", directory.AccountUpdate{Status: &locked}, fault.Locked},
		{"maintenance", directory.AccountUpdate{Status: &maintenance}, fault.Maintenance},
		{"closed", directory.AccountUpdate{Status: &closed}, fault.Closed},
		{"password", directory.AccountUpdate{Status: &active, PasswordHash: &hash}, fault.Credentials},
	} {
		t.Run(test.name, func(t *testing.T) {
			id := c.Account(0, test.name+"@example.com")
			w := copyOf(t, c.Nodes[0], id).Watch()
			defer w.Close()
			var a directory.Account
			c.Eventually("the mailbox to be told of", func() bool {
				var err error
				a, err = c.Directory.Account(t.Context(), id)
				return err == nil && a.Epoch > 0
			})
			if _, err := c.Directory.UpdateAccount(t.Context(), id, a.Version, test.update); err != nil {
				t.Fatal(err)
			}
			select {
			case <-w.Ended():
				if !fault.Is(w.Reason(), test.want) {
					t.Errorf("reason %v, want kind %q", w.Reason(), test.want)
				}
			case <-time.After(10 * time.Second):
				t.Error("the session goes on")
			}
		})
	}
}

// TestStopWithASilentClient stops a mailstore in the middle of a message: the client is cut off when it has had its time, and the stop is
// none that failed, which systemd would tell an operator of.
func TestStopWithASilentClient(t *testing.T) {
	c := nodetest.Start(t, 1)
	c.Account(0, "user@example.com")
	conn, err := net.Dial("tcp", c.Config(0).Listen.LMTP)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	replies := bufio.NewReader(conn)
	for _, command := range []string{"", "LHLO mta.example.com", "MAIL FROM:<a@example.org>", "RCPT TO:<user@example.com>", "DATA"} {
		if command != "" {
			if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
				t.Fatal(err)
			}
		}
		line := "250-"
		for err == nil && strings.HasPrefix(line, "250-") {
			line, err = replies.ReadString('\n')
		}
		if err != nil || line[0] != '2' && line[0] != '3' {
			t.Fatalf("%s: got %q, %v", command, line, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := c.Nodes[0].Stop(ctx); err != nil {
		t.Errorf("the stop failed: %v", err)
	}
	if line, err := replies.ReadString('\n'); err == nil {
		t.Errorf("got %q, want that the connection is cut", line)
	}
}
