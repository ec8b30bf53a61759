package replica

import (
	"context"
	"hash/fnv"
	"slices"

	"mailreplica/internal/account"
	"mailreplica/internal/protocol"
)

// ChooseStream picks the stream of an account that gets its first replica: accounts with the same set of mailstores share
// one, so that agents read little that is not theirs, and changes of many accounts share a request and a transaction.
func (r *Manager) ChooseStream(_ context.Context, id account.ID, destination string) (protocol.Stream, error) {
	identity, ok := r.agent.Identity()
	if !ok {
		return protocol.Stream{}, errNoBrokers()
	}
	set := []string{r.self, destination}
	for _, replica := range r.wishes.Replicas(id) {
		if !replica.Removing && !slices.Contains(set, replica.Mailstore) {
			set = append(set, replica.Mailstore)
		}
	}
	slices.Sort(set)
	h := fnv.New32a()
	for _, fqdn := range set {
		_, _ = h.Write([]byte(fqdn + "\n")) // a hash never fails
	}
	return protocol.Stream{
		ClusterID: identity.ClusterID, TopicID: identity.TopicID, LeaderEpoch: -1,
		Partition: int32(h.Sum32() % uint32(identity.Streams)),
	}, nil
}
