package e2e_test

import (
	"encoding/json"
	"testing"
)

// noBodyMissing has the mailstores compare the volume with all messages: whatever was killed, and when, every message has its
// body, and every mailstore answers. Bodies that no message has may be there: those that were on their way.
func (c *cluster) noBodyMissing() {
	c.t.Helper()
	var answer struct {
		Response struct {
			Values []struct {
				Complete     bool
				Blobs        int64
				Missing      int64
				Problems     []struct{ Problem string }
				MissingBlobs []json.RawMessage
			}
		}
	}
	text := c.must("--json", "--sync", "powerstore", "doCheckBlobs")
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		c.t.Fatalf("%v in %s", err, text)
	}
	if len(answer.Response.Values) == 0 {
		c.t.Error("no volume was checked")
	}
	for _, v := range answer.Response.Values {
		if !v.Complete || v.Missing != 0 || v.Blobs == 0 {
			c.t.Errorf("got %+v, want every mailstore's answer and no message without a body", v)
		}
	}
}

func TestCheckBlobs(t *testing.T) {
	c := newCluster(t, 2)
	names := c.accounts("blobs", 2)
	ledgers := newLedgers(names)
	work := c.load(ledgers, 2, 2, 1, 2)
	work.more(20)
	work.finish()
	c.settled(1, 1, names)
	c.noBodyMissing()
	c.store(2).kill()
	if r := c.carbonio("--sync", "powerstore", "doCheckBlobs", "remove", "true"); r.code != 1 {
		t.Errorf("with a mailstore that is dead: %s", r)
	}
}
