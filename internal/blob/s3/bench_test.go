package s3_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/blob/blobtest"
)

// BenchmarkMessages writes and reads messages of 75 KiB, which is about what mail has on average.
func BenchmarkMessages(b *testing.B) {
	content := blobtest.Content(1, 75<<10)
	for _, workers := range []int{1, 16} {
		v := claimed(b, bucket(b, shared(b)))
		b.Run(fmt.Sprintf("write/%d", workers), func(b *testing.B) {
			timed(b, workers, func(int) error { _, err := write(v, content); return err })
		})
		var names [64]string
		for i := range names {
			names[i] = blobtest.Put(b, v, content)
		}
		b.Run(fmt.Sprintf("read/%d", workers), func(b *testing.B) {
			timed(b, workers, func(i int) error { _, err := read(v, names[i%len(names)]); return err })
		})
	}
}

// timed runs b.N calls on some workers and reports how many there were in a second, and how long they took.
func timed(b *testing.B, workers int, call func(int) error) {
	took := make([]time.Duration, b.N)
	next := make(chan int)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := range next {
				start := time.Now()
				if err := call(i); err != nil {
					b.Error(err)
				}
				took[i] = time.Since(start)
			}
		})
	}
	b.ResetTimer()
	for i := range b.N {
		next <- i
	}
	close(next)
	group.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blobs/s")
	b.ReportMetric(float64(took[b.N/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[b.N*99/100].Microseconds())/1000, "p99-ms")
}
