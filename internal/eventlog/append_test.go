package eventlog_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"mailreplica/internal/eventlog"
	"mailreplica/internal/eventlog/broker"
	"mailreplica/internal/eventlog/broker/brokertest"
	"mailreplica/internal/fault"
)

func TestManyAppendsInFlight(t *testing.T) { both(t, checkManyAppendsInFlight) }

func checkManyAppendsInFlight(t *testing.T, w *world) {
	l := w.open(t)
	const count = 10_000
	results := make(chan error, count)
	for i := range count {
		l.Append(int32(i%8), nil, []byte(fmt.Sprint(i)), func(err error) { results <- err })
	}
	for range count {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
	bounds, err := l.Bounds(within(t), []int32{0, 1, 2, 3, 4, 5, 6, 7})
	if err != nil {
		t.Fatal(err)
	}
	for stream, b := range bounds {
		if b.End != count/8 {
			t.Errorf("stream %d ends at %d, want %d", stream, b.End, count/8)
		}
	}
}

func TestAppendRefusesWhatCannotBeWritten(t *testing.T) {
	both(t, checkAppendRefusesWhatCannotBeWritten)
}

func checkAppendRefusesWhatCannotBeWritten(t *testing.T, w *world) {
	l := w.open(t)
	tests := []struct {
		name   string
		stream int32
		bytes  int
		want   fault.Kind
	}{
		{"too large", 0, 950_001, fault.TooLarge},
		{"no such stream", 8, 1, fault.Invalid},
		{"negative stream", -1, 1, fault.Invalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			result := make(chan error, 1)
			l.Append(test.stream, nil, make([]byte, test.bytes), func(err error) { result <- err })
			if err := <-result; !fault.Is(err, test.want) {
				t.Errorf("got %v, want kind %v", err, test.want)
			}
		})
	}
	appendAll(t, l, 0, string(make([]byte, 949_000)))
}

// The broker refuses or does not answer, in several ways; the outcome is in doubt within the bound, and what is
// appended afterwards arrives in order.
func TestDoubtfulAppends(t *testing.T) {
	faults := map[string]func(*broker.Broker) (heal func()){
		"connection cut before writing": func(b *broker.Broker) func() {
			return control(b, func(kmsg.Request) (kmsg.Response, error, bool) { return nil, fmt.Errorf("cut"), true })
		},
		"not enough replicas": func(b *broker.Broker) func() {
			return control(b, func(r kmsg.Request) (kmsg.Response, error, bool) {
				return refuse(r.(*kmsg.ProduceRequest), kerr.NotEnoughReplicas.Code), nil, true
			})
		},
		"not authorised": func(b *broker.Broker) func() {
			return control(b, func(r kmsg.Request) (kmsg.Response, error, bool) {
				return refuse(r.(*kmsg.ProduceRequest), kerr.TopicAuthorizationFailed.Code), nil, true
			})
		},
		"sequence lost": func(b *broker.Broker) func() {
			return control(b, func(r kmsg.Request) (kmsg.Response, error, bool) {
				return refuse(r.(*kmsg.ProduceRequest), kerr.OutOfOrderSequenceNumber.Code), nil, true
			})
		},
	}
	for name, inject := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := brokertest.StartBroker(t, broker.Config{})
			config := configFor(b.Address())
			config.AppendTimeout = 2 * time.Second
			l := openLog(t, config)
			appendAll(t, l, 0, numbered(0, 3)...)
			appendAll(t, l, 1, numbered(0, 3)...)
			heal := inject(b)
			started := time.Now()
			results := make(chan error, 20)
			for i := range 20 {
				l.Append(int32(i%2), nil, []byte("doubtful"), func(err error) { results <- err })
			}
			for range 20 {
				if err := <-results; !fault.Is(err, fault.LogUnavailable) {
					t.Errorf("got %v, want kind %v", err, fault.LogUnavailable)
				}
			}
			if took := time.Since(started); took > 8*time.Second {
				t.Errorf("the doubt took %v, want about the append timeout", took)
			}
			heal()
			appendAll(t, l, 0, numbered(3, 200)...)
			appendAll(t, l, 1, numbered(3, 200)...)
			assertValues(t, l, 0, numbered(0, 200))
			assertValues(t, l, 1, numbered(0, 200))
		})
	}
}

// The broker writes, and its answer is lost. An idempotent producer sends again and the broker recognises it.
func TestLostAnswerIsNoDuplicate(t *testing.T) { both(t, checkLostAnswer) }

func checkLostAnswer(t *testing.T, w *world) {
	var lose atomic.Int32
	w.config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if w.config.TLS == nil {
			return &forgetful{conn, &lose}, nil
		}
		config := w.config.TLS.Clone()
		config.ServerName, _, _ = net.SplitHostPort(address)
		return &forgetful{tls.Client(conn, config), &lose}, nil
	}
	l := w.open(t)
	appendAll(t, l, 0, "warm")
	for i := range 20 {
		lose.Store(1)
		appendAll(t, l, 0, numbered(i, i+1)...)
	}
	lose.Store(0)
	assertValues(t, l, 0, append([]string{"warm"}, numbered(0, 20)...))
}

// forgetful is a connection that loses what it is sent, and is cut then, as often as is asked for.
type forgetful struct {
	net.Conn
	lose *atomic.Int32
}

func (c *forgetful) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.lose.Add(-1) == 0 {
		c.Close()
		return 0, errors.New("the answer was lost")
	}
	return n, err
}

// A broker that is stopped (it accepts, and does not answer) leaves an append in doubt within the bound; the record
// lands after all when it goes on.
func TestStoppedBroker(t *testing.T) {
	b := brokertest.StartBroker(t, broker.Config{})
	config := configFor(b.Address())
	config.AppendTimeout = 2 * time.Second
	l := openLog(t, config)
	appendAll(t, l, 0, "first")
	goOn := make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	defer release()
	b.Cluster().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		<-goOn
		return nil, nil, false
	})
	result := make(chan error, 1)
	started := time.Now()
	l.Append(0, nil, []byte("doubtful"), func(err error) { result <- err })
	if err := <-result; !fault.Is(err, fault.LogUnavailable) {
		t.Errorf("got %v, want kind %v", err, fault.LogUnavailable)
	}
	if took := time.Since(started); took > 8*time.Second {
		t.Errorf("the doubt took %v", took)
	}
	release()
	appendAll(t, l, 0, numbered(0, 10)...)
	values := readAll(t, l, 0)
	if values[0] != "first" || fmt.Sprint(values[len(values)-10:]) != fmt.Sprint(numbered(0, 10)) {
		t.Errorf("got %v, want first, perhaps doubtful, then values 0 to 9", values)
	}
}

func TestCloseLeavesNoAppendUnanswered(t *testing.T) {
	b := brokertest.StartBroker(t, broker.Config{})
	l := openLog(t, configFor(b.Address()))
	control(b, func(kmsg.Request) (kmsg.Response, error, bool) { return nil, fmt.Errorf("cut"), true })
	results := make(chan error, 100)
	for range 100 {
		l.Append(0, nil, []byte("x"), func(err error) { results <- err })
	}
	l.Close()
	for range 100 {
		if err := <-results; err == nil {
			t.Error("an append was confirmed, want an error")
		}
	}
	l.Append(0, nil, []byte("x"), func(err error) { results <- err })
	if err := <-results; !fault.Is(err, fault.Interrupted) {
		t.Errorf("append to a closed log: got %v, want kind %v", err, fault.Interrupted)
	}
}

// control answers every produce request with fn until it is healed.
func control(b *broker.Broker, fn func(kmsg.Request) (kmsg.Response, error, bool)) (heal func()) {
	var healed atomic.Bool
	b.Cluster().ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if healed.Load() {
			return nil, nil, false
		}
		b.Cluster().KeepControl()
		return fn(r)
	})
	return func() { healed.Store(true) }
}

// refuse answers every partition of a produce request with an error.
func refuse(request *kmsg.ProduceRequest, code int16) kmsg.Response {
	response := request.ResponseKind().(*kmsg.ProduceResponse)
	for _, topic := range request.Topics {
		answer := kmsg.NewProduceResponseTopic()
		answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
		for _, partition := range topic.Partitions {
			p := kmsg.NewProduceResponseTopicPartition()
			p.Partition, p.ErrorCode = partition.Partition, code
			answer.Partitions = append(answer.Partitions, p)
		}
		response.Topics = append(response.Topics, answer)
	}
	return response
}

func readAll(t testing.TB, l *eventlog.Log, stream int32) []string {
	t.Helper()
	bounds, err := l.Bounds(within(t), []int32{stream})
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	err = l.ReadRange(within(t), stream, bounds[stream].Start, bounds[stream].End, func(entries []eventlog.Entry) error {
		for _, e := range entries {
			values = append(values, string(e.Value))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func assertValues(t testing.TB, l *eventlog.Log, stream int32, want []string) {
	t.Helper()
	if got := readAll(t, l, stream); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("stream %d holds %d values, want %d: got %.200v", stream, len(got), len(want), got)
	}
}
