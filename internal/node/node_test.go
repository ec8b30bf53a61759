package node_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/metadata"
	"mailreplica/internal/node"
	"mailreplica/internal/node/nodetest"
	"mailreplica/internal/peer"
)

// deliver stores a message and appends it to INBOX, as a delivery does.
func deliver(t *testing.T, n *node.Node, id account.ID, text string) (mailbox.UID, error) {
	t.Helper()
	a, ok := n.Mailstore().Account(id)
	if !ok {
		t.Fatalf("no copy of %s", id)
	}
	m, err := n.Mailstore().StoreBody(t.Context(), strings.NewReader("Subject: "+text+"\r\n\r\n"+text+"\r\n"))
	if err != nil {
		return 0, err
	}
	var uid mailbox.UID
	err = a.Update(t.Context(), func(d *mailbox.Draft) error {
		message, _, err := d.Deliver(m, mailbox.DeliveryKey([]byte(fmt.Sprintf("%-32s", text))), "INBOX")
		uid = message.UID
		return err
	})
	return uid, err
}

// contents gives the UIDs of INBOX with their contents' ids, and the digest, of one copy.
func contents(t *testing.T, n *node.Node, id account.ID) (map[mailbox.UID]mailbox.ItemID, mailbox.Header) {
	t.Helper()
	found := map[mailbox.UID]mailbox.ItemID{}
	var header mailbox.Header
	err := n.Mailstore().Snapshot(t.Context(), id, func(row metadata.Mailbox, rows mailbox.Scanner) error {
		header = row.Header
		inbox, _, err := rows.FolderByName("INBOX")
		if err != nil {
			return err
		}
		return rows.Messages(inbox.ID, 1, 1<<32-1, func(m mailbox.Message) bool {
			found[m.UID] = m.ContentID
			return true
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, header
}

func fence(t *testing.T, n *node.Node, ids ...account.ID) {
	t.Helper()
	request := peer.FenceRequest{Operation: "test"}
	for _, id := range ids {
		request.Accounts = append(request.Accounts, peer.FenceAccount{Account: id})
	}
	err := n.Service().Fence(t.Context(), request, func(r peer.FenceResult) {
		if r.Error != "" {
			t.Errorf("fence of %s: %s", r.Account, r.Error)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPromotion is the promise in small: deliveries go on while the source goes away, a replica is promoted, and everything
// acknowledged is there once, with its UID; the old source rejoins by reading on.
func TestPromotion(t *testing.T) {
	c := nodetest.Start(t, 3)
	id := c.Account(0, "user@example.com")
	for i := range 5 {
		if _, err := deliver(t, c.Nodes[0], id, fmt.Sprint("before ", i)); err != nil {
			t.Fatal(err)
		}
	}
	c.Replicate(id, 1, 10)
	c.Replicate(id, 2, 20)

	acknowledged := map[mailbox.UID]string{}
	var mu sync.Mutex
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := range 25 {
				text := fmt.Sprintf("writer %d message %d", w, i)
				uid, err := deliver(t, c.Nodes[0], id, text)
				if err != nil {
					t.Errorf("%s: %v", text, err)
					return
				}
				mu.Lock()
				acknowledged[uid] = text
				mu.Unlock()
			}
		})
	}
	writers.Wait()
	c.StopNode(0)
	fence(t, c.Nodes[1], id)
	found, header := contents(t, c.Nodes[1], id)
	if len(found) != 205 || len(acknowledged) != 200 {
		t.Errorf("found %d messages, acknowledged %d; want 205 and 200", len(found), len(acknowledged))
	}
	for uid := range acknowledged {
		if _, ok := found[uid]; !ok {
			t.Errorf("UID %d was acknowledged and is not there", uid)
		}
	}
	if uid, err := deliver(t, c.Nodes[1], id, "after"); err != nil || uid != 206 {
		t.Errorf("delivery after the promotion: UID %d, %v; want 206", uid, err)
	}
	c.StartNode(0)
	c.Available(id, 0)
	c.Eventually("equal digests", func() bool {
		_, h0 := contents(t, c.Nodes[0], id)
		_, h1 := contents(t, c.Nodes[1], id)
		_, h2 := contents(t, c.Nodes[2], id)
		return h0.Digest == h1.Digest && h1.Digest == h2.Digest && h0.Sequence > header.Sequence
	})
}

func copyOf(t *testing.T, n *node.Node, id account.ID) *mailstore.Account {
	t.Helper()
	a, ok := n.Mailstore().Account(id)
	if !ok {
		t.Fatalf("no copy of %s", id)
	}
	return a
}
