package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mailreplica/internal/procfs"
)

// processes are a server's: those named and all that they started.
type processes []int

// usage is what the processes have used since they began, as far as those that live now tell: seconds of the processor, and
// bytes that they hold.
type usage struct {
	cpu           time.Duration
	rss, ownBytes int64 // ownBytes shares nothing with other processes
	count         int
}

func (p processes) usage() (u usage, err error) {
	family, err := procfs.Family(p...)
	if err != nil {
		return u, err
	}
	for _, s := range family {
		cpu, err := processorTime(s.PID)
		if err != nil {
			continue // it has ended
		}
		u.cpu += cpu
		u.count++
		u.rss += kilobytes(s.PID, "status", "VmRSS")
		u.ownBytes += kilobytes(s.PID, "smaps_rollup", "Private_Clean") + kilobytes(s.PID, "smaps_rollup", "Private_Dirty")
	}
	return u, nil
}

// processorTime adds up a process's threads, in nanoseconds; what the kernel adds up itself is in hundredths of a second.
func processorTime(pid int) (total time.Duration, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		return 0, os.ErrNotExist
	}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		first, _, _ := strings.Cut(string(text), " ")
		nanoseconds, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(nanoseconds)
	}
	return total, nil
}

// kilobytes are what a file of a process tells in that unit, in bytes; none where it tells nothing.
func kilobytes(pid int, file, name string) int64 {
	n, _ := procfs.Number(pid, file, name)
	return n << 10
}
