package node

import (
	"context"
	"io"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
	"mailreplica/internal/peer"
	"mailreplica/internal/protocol"
)

// The services that an operator can stop and start. Without its agent a mailstore confirms no change of a replicated
// account.
const serviceAgent = "agent"

// peerService answers the other mailstores.
type peerService struct{ n *Node }

// Status implements peer.Service.
func (s peerService) Status(ctx context.Context, ids []account.ID) (peer.Status, error) {
	status := peer.Status{Mailstore: s.n.config.FQDN, Services: s.n.serviceStatus(), LogReachable: s.n.logReachable()}
	err := s.n.store.View(ctx, func(v *metadata.View) error {
		rows, err := v.MailboxesOf(ids)
		for _, row := range rows {
			status.Copies = append(status.Copies, copyStatus(row))
		}
		return err
	})
	return status, err
}

// Volumes implements peer.Service.
func (s peerService) Volumes(ctx context.Context, ids []account.ID) (all []peer.ContentVolumes, err error) {
	err = s.n.store.View(ctx, func(v *metadata.View) error {
		for _, id := range ids {
			row, ok, err := v.Mailbox(id)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			volumes, err := v.ContentVolumes(row.ID)
			if err != nil {
				return err
			}
			all = append(all, peer.ContentVolumes{Account: id, Volumes: volumes})
		}
		return nil
	})
	return all, err
}

func copyStatus(row metadata.Mailbox) peer.CopyStatus {
	c, h := row.Copy, row.Header
	return peer.CopyStatus{
		Account: c.Account, MailboxID: row.ID, Sequence: c.Committed, ItemID: max(h.NextItemID, 1) - 1, Epoch: c.Epoch,
		Primary: c.Primary, Condition: c.Condition.String(), Mode: c.Mode.String(), Journal: c.Journal,
		Digest: h.Digest.String(), Messages: h.Messages, Bytes: h.Bytes,
	}
}

// Settled implements peer.Service.
func (s peerService) Settled(ctx context.Context, ids []account.ID) ([]peer.CopyStatus, error) {
	status, err := s.Status(ctx, ids)
	if err != nil {
		return nil, err
	}
	return status.Copies, s.n.store.Sync(ctx) // what was read before is on disk after
}

// References implements peer.Service.
func (s peerService) References(ctx context.Context, volume string, alive func() error, yield func(peer.Reference) error) error {
	if err := s.n.follower.Poll(ctx); err != nil {
		return err
	}
	return s.n.manager.References(ctx, volume, alive, yield)
}

// Locate implements peer.Service.
func (s peerService) Locate(ctx context.Context, id account.ID, contents []mailbox.ItemID) ([]peer.Location, error) {
	return s.n.manager.Locate(ctx, id, contents)
}

// Give implements peer.Service.
func (s peerService) Give(ctx context.Context, id account.ID, destination string, w io.Writer) error {
	if _, known := s.n.copy.Mailstore(destination); !known {
		return fault.New(fault.NotFound, "there is no mailstore %s", destination)
	}
	if err := s.n.mayGive(ctx, id, destination); err != nil {
		return err
	}
	choose := func(ctx context.Context) (protocol.Stream, error) {
		return s.n.manager.ChooseStream(ctx, id, destination)
	}
	return s.n.agent.Give(ctx, id, destination, choose, w)
}

// Fence implements peer.Service.
func (s peerService) Fence(ctx context.Context, request peer.FenceRequest, tell func(peer.FenceResult)) error {
	return s.n.taker.Take(ctx, request, tell)
}

// Reseed implements peer.Service.
func (s peerService) Reseed(ctx context.Context, id account.ID) error {
	return s.n.manager.ReseedAsked(ctx, id)
}

// Nudge implements peer.Service.
func (s peerService) Nudge(ctx context.Context) error { return s.n.follower.Poll(ctx) }

// SetService implements peer.Service.
func (s peerService) SetService(_ context.Context, name string, run bool) error {
	if name != serviceAgent {
		return fault.New(fault.NotFound, "there is no service %q; there is: %s", name, serviceAgent)
	}
	s.n.services.Lock()
	s.n.stopped[name] = !run
	s.n.services.Unlock()
	if !run {
		s.n.disconnect()
	}
	s.n.connect()
	return nil
}

// disconnect ends the use of the log. Who asks for the state of the services meanwhile is answered.
func (n *Node) disconnect() {
	n.connecting.Lock()
	defer n.connecting.Unlock()
	n.agent.Close()
}

func (n *Node) serviceStatus() []peer.ServiceStatus {
	n.services.Lock()
	defer n.services.Unlock()
	status := peer.ServiceStatus{Name: serviceAgent, Running: !n.stopped[serviceAgent]}
	identity, connected := n.agent.Identity()
	switch {
	case !status.Running:
		status.Detail = "stopped by an operator"
	case connected && !n.logReachable():
		status.Detail = "the brokers of cluster " + identity.ClusterID + " do not answer"
	case connected:
		status.Detail = "reads the event log of cluster " + identity.ClusterID
	default:
		status.Detail = "no brokers are configured, or none answers"
	}
	return []peer.ServiceStatus{status}
}

// agentStopped says whether an operator stopped the use of the event log.
func (n *Node) agentStopped() bool {
	n.services.Lock()
	defer n.services.Unlock()
	return n.stopped[serviceAgent]
}

func (n *Node) logReachable() bool {
	log := n.agent.Log()
	return log != nil && log.Reachable()
}
