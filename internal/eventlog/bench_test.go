package eventlog_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mailreplica/internal/eventlog"
	"mailreplica/internal/eventlog/broker"
	"mailreplica/internal/eventlog/broker/brokertest"
)

// bothBench runs a benchmark on an embedded broker that writes as in production, and on the Kafka cluster.
func bothBench(b *testing.B, bench func(b *testing.B, w *world)) {
	b.Run("embedded", func(b *testing.B) {
		started := brokertest.StartBroker(b, broker.Config{DataDir: b.TempDir(), SyncWrites: true})
		bench(b, &world{config: eventlog.Config{Brokers: []string{started.Address()}, Topic: "mail"}, embedded: started})
	})
	b.Run("kafka", func(b *testing.B) { bench(b, kafkaWorld(b)) })
}

// payload is like an event with an envelope: partly words, partly random.
func payload(size int) []byte {
	text := []byte("Subject: Minutes of the meeting on Monday; From: Jane Doe <jane.doe@example.com>; To: all@example.com; ")
	p := make([]byte, size)
	for i := range p {
		p[i] = text[i%len(text)]
		if i%5 == 0 {
			p[i] = byte(i * 7919 >> 3)
		}
	}
	return p
}

// BenchmarkReadBack appends one record at a time and waits until it is read back: the path of one acknowledged change.
func BenchmarkReadBack(b *testing.B) {
	for _, linger := range []time.Duration{0, 2 * time.Millisecond} {
		b.Run(fmt.Sprintf("linger=%v", linger), func(b *testing.B) {
			bothBench(b, func(b *testing.B, w *world) {
				w.config.Streams, w.config.LingerMax = 8, linger
				benchReadBack(b, w.open(b))
			})
		})
	}
}

func benchReadBack(b *testing.B, l *eventlog.Log) {
	seen := make(chan int, 1)
	r := newReader(b, l, func(_ context.Context, batch eventlog.Batch) { seen <- len(batch.Entries) })
	r.Follow(0, 0, -1)
	value := payload(600)
	one := func() time.Duration {
		started := time.Now()
		l.Append(0, nil, value, func(err error) {
			if err != nil {
				b.Error(err)
			}
		})
		<-seen
		return time.Since(started)
	}
	one()
	var took []time.Duration
	b.ResetTimer()
	for range b.N {
		took = append(took, one())
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkThroughput has many writers, each with one record in flight, spread over the streams; an operation is one
// record appended and read back.
func BenchmarkThroughput(b *testing.B) {
	type variant struct {
		streams     int32
		writers     int
		linger      time.Duration
		compression string
	}
	variants := []variant{
		{1, 64, 0, ""}, {8, 64, 0, ""}, {64, 64, 0, ""}, {8, 64, 2 * time.Millisecond, ""},
		{16, 1000, 0, ""}, {64, 1000, 0, ""}, {64, 1000, 2 * time.Millisecond, ""},
		{16, 1000, 0, "lz4"}, {16, 1000, 0, "zstd"},
	}
	for _, v := range variants {
		b.Run(fmt.Sprintf("streams=%d/writers=%d/linger=%v/%s", v.streams, v.writers, v.linger, v.compression), func(b *testing.B) {
			bothBench(b, func(b *testing.B, w *world) {
				w.config.Streams, w.config.LingerMax, w.config.Compression = v.streams, v.linger, v.compression
				benchThroughput(b, w.open(b), v.streams, v.writers)
				if w.cluster != nil {
					b.ReportMetric(float64(w.logBytes(b))/float64(b.N), "log-B/record")
				}
			})
		})
	}
}

func benchThroughput(b *testing.B, l *eventlog.Log, streams int32, writers int) {
	waiting := make([]chan struct{}, writers)
	for i := range waiting {
		waiting[i] = make(chan struct{}, 1)
	}
	var batches atomic.Int64
	r := newReader(b, l, func(_ context.Context, batch eventlog.Batch) {
		batches.Add(1)
		for _, e := range batch.Entries {
			waiting[int(e.Key[0])<<8|int(e.Key[1])] <- struct{}{}
		}
	})
	for stream := range streams {
		r.Follow(stream, 0, -1)
	}
	value := payload(600)
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	var workers sync.WaitGroup
	for i := range writers {
		workers.Go(func() {
			key := []byte{byte(i >> 8), byte(i)}
			for left.Add(-1) >= 0 {
				l.Append(int32(i)%streams, key, value, func(err error) {
					if err != nil {
						b.Error(err)
					}
				})
				<-waiting[i]
			}
		})
	}
	workers.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(b.N)/float64(batches.Load()), "records/batch")
}
