package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
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
	family, err := p.family()
	if err != nil {
		return u, err
	}
	for _, pid := range family {
		cpu, err := processorTime(pid)
		if err != nil {
			continue // it has ended
		}
		u.cpu += cpu
		u.count++
		u.rss += kilobytes(pid, "status", "VmRSS:") << 10
		u.ownBytes += (kilobytes(pid, "smaps_rollup", "Private_Clean:") + kilobytes(pid, "smaps_rollup", "Private_Dirty:")) << 10
	}
	return u, nil
}

// family are the processes and their descendants.
func (p processes) family() ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		pid, err1 := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if len(fields) < 2 || err1 != nil {
			continue
		}
		if parent, err := strconv.Atoi(fields[1]); err == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	family := append([]int(nil), p...)
	for i := 0; i < len(family); i++ {
		family = append(family, children[family[i]]...)
	}
	return family, nil
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

func kilobytes(pid int, file, name string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, name); found {
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return n
		}
	}
	return 0
}
