package eventlog_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mailreplica/internal/eventlog"
	"mailreplica/internal/eventlog/broker"
	"mailreplica/internal/eventlog/broker/brokertest"
)

// benchLog is a log on an embedded broker that writes as in production.
func benchLog(b *testing.B, config eventlog.Config) *eventlog.Log {
	b.Helper()
	started := brokertest.StartBroker(b, broker.Config{DataDir: b.TempDir(), SyncWrites: true})
	config.Brokers, config.Topic = []string{started.Address()}, "mail"
	return openLog(b, config)
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
	for _, linger := range []time.Duration{0, time.Millisecond, 2 * time.Millisecond} {
		b.Run(fmt.Sprintf("linger=%v", linger), func(b *testing.B) {
			l := benchLog(b, eventlog.Config{Streams: 8, LingerMax: linger})
			seen := make(chan int, 1)
			r := newReader(b, l, func(_ context.Context, batch eventlog.Batch) { seen <- len(batch.Entries) })
			r.Follow(0, 0, -1)
			value := payload(600)
			one := func() {
				l.Append(0, nil, value, func(err error) {
					if err != nil {
						b.Error(err)
					}
				})
				<-seen
			}
			one()
			b.ResetTimer()
			for range b.N {
				one()
			}
		})
	}
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
		{1, 64, 0, ""}, {8, 64, 0, ""}, {64, 64, 0, ""}, {8, 64, time.Millisecond, ""}, {8, 64, 2 * time.Millisecond, ""},
		{8, 1000, 0, ""}, {64, 1000, 0, ""}, {64, 1000, 2 * time.Millisecond, ""},
		{8, 1000, 0, "lz4"}, {8, 1000, 0, "zstd"},
	}
	for _, v := range variants {
		b.Run(fmt.Sprintf("streams=%d/writers=%d/linger=%v/%s", v.streams, v.writers, v.linger, v.compression), func(b *testing.B) {
			l := benchLog(b, eventlog.Config{Streams: v.streams, LingerMax: v.linger, Compression: v.compression})
			benchThroughput(b, l, v.streams, v.writers)
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
