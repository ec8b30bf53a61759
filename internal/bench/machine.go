package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"mailreplica/internal/bench/report"
)

const (
	diskProbe      = time.Second / 2
	diskProbeBytes = 8 << 10
)

// machine tells of this one, and measures the disk that a folder is on.
func machine(folder string) (m report.Machine, err error) {
	m = report.Machine{Processor: field("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), Go: runtime.Version(), Disk: fileSystem(folder)}
	if kB, err := strconv.Atoi(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB")); err == nil {
		m.MemoryGiB = (kB + 1<<19) >> 20
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load, _ = strconv.ParseFloat(strings.Fields(string(text))[0], 64)
	}
	m.SyncedFiles, m.SyncedAppends, err = disk(folder)
	return m, err
}

// field is what a file of /proc has after a name and a colon.
func field(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// fileSystem is the kind of the one that a folder is on: of the longest mount point that it lies under.
func fileSystem(folder string) (kind string) {
	text, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return ""
	}
	longest := -1
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		point := fields[1]
		if within := point == "/" || folder == point || strings.HasPrefix(folder, point+"/"); within && len(point) >= longest {
			longest, kind = len(point), fields[2]
		}
	}
	return kind
}

// disk measures what everything here waits for: files made and synced, and synced appends to one file, each one after the other.
func disk(folder string) (files, appends float64, err error) {
	folder, err = os.MkdirTemp(folder, "disk-")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	data := make([]byte, diskProbeBytes)
	files, err = perSecond(func(i int) error {
		f, err := os.Create(filepath.Join(folder, strconv.Itoa(i)))
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		return errors.Join(err, f.Sync(), f.Close())
	})
	if err != nil {
		return 0, 0, err
	}
	one, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return 0, 0, err
	}
	defer one.Close()
	appends, err = perSecond(func(int) error {
		_, err := one.Write(data)
		return errors.Join(err, one.Sync())
	})
	return files, appends, err
}

func perSecond(do func(i int) error) (float64, error) {
	begun, count := time.Now(), 0
	for time.Since(begun) < diskProbe {
		if err := do(count); err != nil {
			return 0, err
		}
		count++
	}
	return float64(count) / time.Since(begun).Seconds(), nil
}
