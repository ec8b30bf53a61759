package directory_test

import (
	"testing"

	"mailreplica/internal/directory"
)

// TestAccountsLetsTheCopyMove asks the copy about accounts while it chooses them, and lets the directory move on in between: a
// command that lists accounts once stopped its whole mailstore so.
func TestAccountsLetsTheCopyMove(t *testing.T) { onEngines(t, testAccountsLetsTheCopyMove) }

func testAccountsLetsTheCopyMove(t *testing.T, r rig) {
	p := r.newPlatform(t)
	first := newAccount(t, p.directory, "first@example.com", mbox1)
	must(t, p.follower.Poll(t.Context()))
	newAccount(t, p.directory, "second@example.com", mbox1)
	chosen := p.copy.Accounts(func(a *directory.Account) bool {
		must(t, p.follower.Poll(t.Context())) // a writer
		_, known := p.copy.AccountByName("second@example.com")
		return known && len(p.copy.Replicas(a.ID)) == 0
	})
	if len(chosen) != 1 || chosen[0].ID != first.ID {
		t.Errorf("chosen are %+v, want the account that the copy had at the beginning", chosen)
	}
}
