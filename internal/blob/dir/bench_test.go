package dir_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"mailreplica/internal/blob/blobtest"
	"mailreplica/internal/blob/dir"
)

// usage is what this process has used: µs of CPU, switches between threads, bytes to be written to disks.
func usage(b *testing.B) (cpu, switches, written int64) {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	io, err := os.ReadFile("/proc/self/io")
	if err != nil {
		b.Fatal(err)
	}
	written, _ = strconv.ParseInt(string(regexp.MustCompile(`(?m)^write_bytes: (\d+)`).FindSubmatch(io)[1]), 10, 64)
	return (u.Utime.Nano() + u.Stime.Nano()) / 1000, u.Nvcsw, written
}

type counted struct {
	dir.PackFile
	syncs *atomic.Int64
}

func (c counted) WriteAt(p []byte, at int64) (int, error) {
	c.syncs.Add(1)
	return c.PackFile.WriteAt(p, at)
}

// BenchmarkWrite writes as a mailstore does that gets messages from so many connections.
func BenchmarkWrite(b *testing.B) {
	for _, writers := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprintf("8.5KB/writers=%d", writers), func(b *testing.B) {
			v := open(b, filepath.Join(b.TempDir(), "volume"))
			var syncs atomic.Int64
			v.OnDisk(func(f *os.File) dir.PackFile { return counted{f, &syncs} })
			content := blobtest.Content(1, 8500)
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			cpu, switches, written := usage(b)
			var workers sync.WaitGroup
			for range writers {
				workers.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := put(b.Context(), v, content); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			workers.Wait()
			b.StopTimer()
			cpuAfter, switchesAfter, writtenAfter := usage(b)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blobs/s")
			b.ReportMetric(float64(cpuAfter-cpu)/float64(b.N), "cpu-µs/blob")
			b.ReportMetric(float64(switchesAfter-switches)/float64(b.N), "switches/blob")
			b.ReportMetric(float64(syncs.Load())/float64(b.N), "syncs/blob")
			b.ReportMetric(float64(writtenAfter-written)/float64(b.N)/1024, "KB/blob")
		})
	}
}

// BenchmarkRead opens blobs, reads and closes them.
func BenchmarkRead(b *testing.B) {
	v := open(b, filepath.Join(b.TempDir(), "volume"))
	content := blobtest.Content(1, 8500)
	names := make([]string, 500)
	var writers sync.WaitGroup
	for part := range 10 {
		writers.Go(func() {
			for i := part * 50; i < (part+1)*50; i++ {
				names[i], _ = put(b.Context(), v, content)
			}
		})
	}
	writers.Wait()
	piece := make([]byte, len(content))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		opened, err := v.Open(b.Context(), names[i%len(names)])
		if err == nil {
			_, err = opened.ReadAt(piece, 0)
			opened.Close()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
