package dir

import (
	"context"
	"slices"
	"sync"
)

// group syncs directories for many writers at once. While one sync runs, writers gather; the next round serves all of
// them, each directory once. A round is begun after its writers have renamed, so it covers them.
type group struct {
	syncShard func(shard int) error

	mu      sync.Mutex
	waiting map[int][]chan error
	running bool
}

func newGroup(syncShard func(shard int) error) *group {
	return &group{syncShard: syncShard, waiting: make(map[int][]chan error)}
}

// wait returns when a directory was synced, in a sync that began after the call.
func (g *group) wait(ctx context.Context, shard int) error {
	synced := make(chan error, 1)
	g.mu.Lock()
	g.waiting[shard] = append(g.waiting[shard], synced)
	lead := !g.running
	g.running = true
	g.mu.Unlock()
	if lead {
		go g.rounds()
	}
	select {
	case err := <-synced:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rounds serves until nobody waits.
func (g *group) rounds() {
	for {
		g.mu.Lock()
		round := g.waiting
		g.waiting = make(map[int][]chan error, len(round))
		g.running = len(round) > 0
		g.mu.Unlock()
		if len(round) == 0 {
			return
		}
		shards := make([]int, 0, len(round))
		for shard := range round {
			shards = append(shards, shard)
		}
		slices.Sort(shards)
		for _, shard := range shards {
			err := g.syncShard(shard)
			for _, synced := range round[shard] {
				synced <- err
			}
		}
	}
}
