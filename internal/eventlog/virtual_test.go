package eventlog_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"mailreplica/internal/eventlog"
	"mailreplica/internal/eventlog/broker"
)

// A simulation runs the log in virtual time, on a network in memory.
func TestVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := new(kfake.VirtualNetwork)
		b, err := broker.Start(broker.Config{Listen: "127.0.0.1:9092", Network: network})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		config := configFor(b.Address())
		config.Dial = network.DialContext
		l, err := eventlog.Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c := newCollector()
		r := l.NewReader(c.handle)
		defer r.Close()
		r.Follow(1, 0, -1)
		started := time.Now()
		for i := range 10 {
			appendAll(t, l, 1, numbered(i, i+1)...)
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		if got := len(c.values[1]); got != 10 {
			t.Errorf("got %d values, want 10", got)
		}
		if passed := time.Since(started); passed < 10*time.Minute || passed > 11*time.Minute {
			t.Errorf("%v of virtual time passed, want 10 min", passed)
		}
	})
}
