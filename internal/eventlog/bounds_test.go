package eventlog_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"mailreplica/internal/eventlog/broker"
)

// For a moment after a broker died, the others name a leader that is not among the brokers, or none. The client does not
// ask again by itself then.
func TestBoundsWhileLeadersMove(t *testing.T) {
	for name, move := range map[string]func(*kmsg.MetadataResponseTopicPartition){
		"no leader": func(p *kmsg.MetadataResponseTopicPartition) {
			p.Leader, p.ErrorCode = -1, kerr.LeaderNotAvailable.Code
		},
		"a leader that nobody knows": func(p *kmsg.MetadataResponseTopicPartition) { p.Leader = 4711 },
	} {
		t.Run(name, func(t *testing.T) {
			l, b := startLog(t)
			appendAll(t, l, 1, "first")
			time.Sleep(200 * time.Millisecond) // the client knows the leaders for 100 ms without asking
			asked := moveLeaders(t, b, 3, move)
			bounds, err := l.Bounds(within(t), []int32{1})
			if err != nil {
				t.Fatal(err)
			}
			if got := bounds[1].End; got != 1 {
				t.Errorf("the stream ends at %d, want 1", got)
			}
			if asked.Load() < 3 {
				t.Errorf("the brokers were asked %d times who leads, want 3", asked.Load())
			}
		})
	}
}

// moveLeaders changes the next so many answers about who leads the streams.
func moveLeaders(t *testing.T, b *broker.Broker, times int32, move func(*kmsg.MetadataResponseTopicPartition)) *atomic.Int32 {
	t.Helper()
	w := &world{config: configFor(b.Address())}
	request := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(w.config.Topic)
	request.Topics = append(request.Topics, topic)
	answer, err := request.RequestWith(within(t), w.client(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range answer.Topics[0].Partitions {
		move(&answer.Topics[0].Partitions[i])
	}
	asked := new(atomic.Int32)
	b.Cluster().ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if asked.Add(1) > times {
			return nil, nil, false
		}
		b.Cluster().KeepControl()
		moved := *answer
		moved.Version = r.GetVersion()
		return &moved, nil, true
	})
	return asked
}
