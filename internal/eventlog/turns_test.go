package eventlog_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"mailreplica/internal/eventlog/broker"
	"mailreplica/internal/eventlog/broker/brokertest"
	"mailreplica/internal/fault"
)

// held is a broker that keeps the answer to the first append until it is let go.
type held struct {
	*broker.Broker
	came     chan struct{} // closed when the first append is there
	goOn     func()
	requests atomic.Int32
}

// hold holds the first append; refusal is what it is answered then, and 0 lets it be written.
func hold(t *testing.T, refusal int16) *held {
	h := &held{Broker: brokertest.StartBroker(t, broker.Config{}), came: make(chan struct{})}
	let := make(chan struct{})
	h.goOn = sync.OnceFunc(func() { close(let) })
	t.Cleanup(h.goOn)
	h.Cluster().ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		h.Cluster().KeepControl()
		if h.requests.Add(1) > 1 {
			return nil, nil, false
		}
		close(h.came)
		h.Cluster().SleepControl(func() { <-let })
		if refusal == 0 {
			return nil, nil, false
		}
		return refuse(r.(*kmsg.ProduceRequest), refusal), nil, true
	})
	return h
}

// What is appended while an append is under way goes together when it is answered, in its order.
func TestAppendsShareTurns(t *testing.T) {
	b := hold(t, 0)
	l := openLog(t, configFor(b.Address()))
	const count = 1_000
	results := make(chan error, count)
	for i, value := range numbered(0, count) {
		l.Append(0, nil, []byte(value), func(err error) { results <- err })
		if i == 0 {
			<-b.came
		}
	}
	b.goOn()
	for range count {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
	assertValues(t, l, 0, numbered(0, count))
	// The client may begin to send while it is given the turn: a few requests more than two, and not a thousand.
	if got := b.requests.Load(); got > 20 {
		t.Errorf("%d requests for %d records that could share two", got, count)
	}
}

// What waits behind an append that fails was not sent: it is in doubt, whatever was wrong with the other. What comes then starts afresh.
func TestAppendsBehindOneThatFails(t *testing.T) {
	for _, test := range []struct {
		refused     int16
		first, next fault.Kind
	}{
		{kerr.MessageTooLarge.Code, fault.TooLarge, fault.LogUnavailable},
		{kerr.TopicAuthorizationFailed.Code, fault.LogUnavailable, fault.LogUnavailable},
	} {
		t.Run(kerr.ErrorForCode(test.refused).Error(), func(t *testing.T) {
			b := hold(t, test.refused)
			l := openLog(t, configFor(b.Address()))
			first, waiting := make(chan error, 1), make(chan error, 10)
			l.Append(0, nil, []byte("refused"), func(err error) { first <- err })
			<-b.came
			for i := range cap(waiting) {
				l.Append(0, nil, fmt.Append(nil, "waiting ", i), func(err error) { waiting <- err })
			}
			b.goOn()
			if err := <-first; !fault.Is(err, test.first) {
				t.Errorf("the refused one: got %v, want kind %v", err, test.first)
			}
			for range cap(waiting) {
				if err := <-waiting; !fault.Is(err, test.next) {
					t.Errorf("one behind it: got %v, want kind %v", err, test.next)
				}
			}
			appendAll(t, l, 0, "afterwards")
			assertValues(t, l, 0, []string{"afterwards"})
		})
	}
}

// Appends that wait are answered when the log is closed.
func TestCloseAnswersWhoWaits(t *testing.T) {
	b := hold(t, 0)
	l := openLog(t, configFor(b.Address()))
	results := make(chan error, 10)
	for i := range cap(results) {
		l.Append(0, nil, []byte("waiting"), func(err error) { results <- err })
		if i == 0 {
			<-b.came
		}
	}
	l.Close()
	for range cap(results) {
		if err := <-results; !fault.Is(err, fault.Interrupted) {
			t.Errorf("got %v, want kind %v", err, fault.Interrupted)
		}
	}
}
