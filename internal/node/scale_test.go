package node_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/node/nodetest"
	"mailreplica/internal/peer"
)

// TestPromotionOfManyAccounts takes over many accounts of a mailstore that is gone, in one request.
func TestPromotionOfManyAccounts(t *testing.T) {
	const accounts = 500
	c := nodetest.Start(t, 2)
	ids := make([]account.ID, accounts)
	var making sync.WaitGroup
	for i := range ids {
		making.Go(func() {
			a, err := c.Directory.CreateAccount(t.Context(), directory.NewAccount{Name: fmt.Sprintf("user%d@example.com", i), MailHost: nodetest.Name(0)})
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = a.ID
			if _, err := c.Directory.PutReplica(t.Context(), a.ID, nodetest.Name(1), 10); err != nil {
				t.Error(err)
			}
		})
	}
	making.Wait()
	begun := time.Now()
	for _, id := range ids {
		c.Available(id, 1)
	}
	t.Logf("%d replicas made in %s", accounts, time.Since(begun))
	c.StopNode(0)
	begun = time.Now()
	taken := 0
	request := peer.FenceRequest{Operation: "many"}
	for _, id := range ids {
		request.Accounts = append(request.Accounts, peer.FenceAccount{Account: id})
	}
	err := c.Nodes[1].Service().Fence(t.Context(), request, func(r peer.FenceResult) {
		if r.Error != "" {
			t.Errorf("%s: %s", r.Account, r.Error)
		}
		taken++
	})
	if err != nil || taken != accounts {
		t.Fatalf("%d of %d accounts told of, %v", taken, accounts, err)
	}
	t.Logf("%d accounts promoted in %s", accounts, time.Since(begun))
	homes, err := c.Directory.CountByHome(t.Context())
	if err != nil || homes[nodetest.Name(1)] != accounts {
		t.Errorf("the directory says %v, %v; want all on %s", homes, err, nodetest.Name(1))
	}
}
