package node_test

import (
	"testing"
	"time"

	"mailreplica/internal/node/nodetest"
	"mailreplica/internal/peer"
)

// TestPromotionOfManyAccounts takes over many accounts of a mailstore that is gone, in one request.
func TestPromotionOfManyAccounts(t *testing.T) {
	const accounts = 500
	c := nodetest.Start(t, 2)
	begun := time.Now()
	ids := replicated(t, c, accounts)
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
