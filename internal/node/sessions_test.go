package node_test

import (
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
