package node_test

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/config"
	"mailreplica/internal/fault"
	"mailreplica/internal/node/nodetest"
	"mailreplica/internal/peer"
)

// A mailstore neither gives a copy to one that could not read the messages, nor takes an account over of which it could not.
func TestVolumesThatAMailstoreLacks(t *testing.T) {
	folder := t.TempDir()
	c := nodetest.StartWith(t, 2, func(i int, cfg *config.Config) {
		cfg.Volumes = append(cfg.Volumes, config.Volume{Name: "old", Path: filepath.Join(folder, "old"), Centralised: true})
		if i == 0 {
			cfg.PrimaryVolume = "old"
		}
	})
	id := c.Account(0, "user@example.com")
	if _, err := deliver(t, c.Nodes[0], id, "one"); err != nil {
		t.Fatal(err)
	}
	c.Replicate(id, 1, 10)

	lose(t, c, "old")
	err := c.Nodes[0].Service().Give(t.Context(), id, nodetest.Name(1), io.Discard)
	if !fault.Is(err, fault.VolumeUnavailable) || !strings.Contains(fault.Message(err), "mbox2.example.com does not have the volume old of mbox1.example.com") {
		t.Errorf("giving a copy: got %v", err)
	}
	c.StopNode(0)
	if kind, text := fenced(t, c, id); kind != fault.VolumeUnavailable || !strings.Contains(text, "mbox2.example.com does not have the volume old") {
		t.Errorf("taking over: got %v, %q", kind, text)
	}
	c.StopNode(1)
	c.StartNode(1) // its configuration has the volume
	if err := c.Nodes[1].Service().Nudge(t.Context()); err != nil {
		t.Fatal(err)
	}
	fence(t, c.Nodes[1], id)
}

// lose makes the directory, and both mailstores, believe that the second mailstore does not have a volume.
func lose(t *testing.T, c *nodetest.Cluster, volume string) {
	t.Helper()
	if err := c.Directory.DeleteVolume(t.Context(), nodetest.Name(1), volume); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes {
		if err := n.Service().Nudge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func fenced(t *testing.T, c *nodetest.Cluster, id account.ID) (kind fault.Kind, text string) {
	t.Helper()
	err := c.Nodes[1].Service().Fence(t.Context(), peer.FenceRequest{Operation: "test", Accounts: []peer.FenceAccount{{Account: id}}},
		func(r peer.FenceResult) { kind, text = fault.ParseKind(r.Kind), r.Error })
	if err != nil {
		t.Fatal(err)
	}
	return kind, text
}
