package node_test

import (
	"fmt"
	"sync"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/node/nodetest"
	"mailreplica/internal/peer"
)

// replicated makes accounts on the first mailstore, with a replica of each on the second.
func replicated(tb testing.TB, c *nodetest.Cluster, accounts int) []account.ID {
	tb.Helper()
	ids := make([]account.ID, accounts)
	var making sync.WaitGroup
	for i := range ids {
		making.Go(func() {
			a, err := c.Directory.CreateAccount(tb.Context(), directory.NewAccount{Name: fmt.Sprintf("user%d@example.com", i), MailHost: nodetest.Name(0)})
			if err != nil {
				tb.Error(err)
				return
			}
			ids[i] = a.ID
			if _, err := c.Directory.PutReplica(tb.Context(), a.ID, nodetest.Name(1), 10); err != nil {
				tb.Error(err)
			}
		})
	}
	making.Wait()
	for _, id := range ids {
		c.Available(id, 1)
	}
	return ids
}

// BenchmarkPromotion moves accounts there and back between two mailstores that run, with the directory told.
func BenchmarkPromotion(b *testing.B) {
	for _, accounts := range []int{1, 500} {
		b.Run(fmt.Sprintf("accounts=%d", accounts), func(b *testing.B) {
			c := nodetest.Start(b, 2)
			ids := replicated(b, c, accounts)
			to := 1
			for b.Loop() {
				request := peer.FenceRequest{Operation: "benchmark"}
				for _, id := range ids {
					request.Accounts = append(request.Accounts, peer.FenceAccount{Account: id})
				}
				err := c.Nodes[to].Service().Fence(b.Context(), request, func(r peer.FenceResult) {
					if r.Error != "" {
						b.Errorf("%s: %s", r.Account, r.Error)
					}
				})
				if err != nil {
					b.Fatal(err)
				}
				to = 1 - to
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*accounts), "µs/account")
		})
	}
}
