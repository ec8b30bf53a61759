package node

import (
	"context"
	"net"
	"path/filepath"
	"time"

	"github.com/emersion/go-smtp"

	"mailreplica/internal/account"
	"mailreplica/internal/admin"
	"mailreplica/internal/directory"
	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
	"mailreplica/internal/operation"
	"mailreplica/internal/promotion"
	"mailreplica/internal/reclaim"
)

// notifyWait bounds the telling of one notification.
const notifyWait = time.Minute

// operationsAtOnce lets many operations wait side by side, for instance for destinations that are away, without holding a
// promotion up.
const operationsAtOnce = 64

// openAdmin makes what administrators talk to, and starts the operations that were left unfinished.
func (n *Node) openAdmin(context.Context) error {
	c := admin.Config{
		Self: n.config.FQDN, Token: n.tokens.admin, Directory: n.directory, Follower: n.follower, Peers: n.peers,
		Reseeder: reseeder{n}, LogStatus: n.logStatus, LogConfig: n.logConfig, Volumes: volumeProver{n},
		Deliver: n.deliver, Logger: n.logger, Reports: filepath.Join(n.config.Data, "reports"),
		Blobs: reclaim.NewChecker(reclaim.CheckConfig{
			Mailstore: n.mailstore, Wishes: n.copy, Refresh: n.follower.Poll, Peers: n.peers, Folder: n.config.Data, Logger: n.logger,
		}),
	}
	runners := admin.Runners(c)
	runners[promotion.OperationType] = promotion.NewPlanner(promotion.PlannerConfig{
		Self: n.config.FQDN, Directory: n.directory, Wishes: n.copy, Peers: n.peers, Logger: n.logger,
	})
	c.Operations = operation.NewManager(operation.ManagerConfig{
		Directory: n.directory, Host: n.config.FQDN, Runners: runners, RunningMax: operationsAtOnce,
		Notified: n.notify, Items: admin.OperationItems(), Name: admin.NameItems(n.copy),
	})
	n.admin = admin.NewAdmin(c)
	n.loops.Go(func() { c.Operations.Run(n.ctx) })
	return nil
}

// notify tells the administrators of a notification that was stored.
func (n *Node) notify(notification directory.Notification) {
	n.loops.Go(func() {
		ctx, cancel := context.WithTimeout(n.ctx, notifyWait)
		defer cancel()
		n.admin.Notify(ctx, notification)
	})
}

// logStatus names the log in use. While the brokers are away it is the one that copies here were written in.
func (n *Node) logStatus() admin.LogStatus {
	identity, connected := n.agent.Identity()
	if !connected {
		for _, a := range n.mailstore.All() {
			if c := a.Copy(); c.IsOpen() {
				identity = eventlog.Identity{ClusterID: c.Stream.ClusterID, TopicID: c.Stream.TopicID}
				break
			}
		}
	}
	return admin.LogStatus{Reachable: n.logReachable(), Identity: identity}
}

// deliver hands a message to this mailstore's own LMTP server, which takes it for any account.
func (n *Node) deliver(ctx context.Context, to string, message []byte) error {
	if n.config.Listen.LMTP == "" {
		return fault.New(fault.Invalid, "%s does not listen for LMTP, so its notifications cannot be mailed", n.config.FQDN)
	}
	dial := n.world.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, "tcp", n.config.Listen.LMTP)
	if err != nil {
		return err
	}
	c := smtp.NewClientLMTP(conn)
	defer c.Close()
	if err := c.Hello(n.config.FQDN); err != nil {
		return err
	}
	if err := c.Mail("", nil); err != nil {
		return err
	}
	if err := c.Rcpt(to, nil); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(message); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

// reseeder has the mailstore that an operator names make its copy the primary.
type reseeder struct{ n *Node }

// Reseed implements admin.Reseeder.
func (r reseeder) Reseed(ctx context.Context, fqdn string, id account.ID) error {
	host, known := r.n.copy.Mailstore(fqdn)
	if !known {
		return fault.New(fault.NotFound, "there is no mailstore %s", fqdn)
	}
	return r.n.peers.Reseed(ctx, host.PeerAddr, id)
}
