package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"mailreplica/internal/engine"
	"mailreplica/internal/procfs"
)

const (
	readyWait  = 60 * time.Second
	readyLook  = 20 * time.Millisecond
	addressTry = 100
)

// Usage is what a system takes on disk.
type Usage struct {
	DataBytes int64 // allocated, but for the log
	LogBytes  int64 // of the event log, the sum of its copies
}

// addresses finds loopback addresses that follow each other, on which nobody listens at any of the ports.
func addresses(count int, ports ...string) ([]string, error) {
	var err error
	for range addressTry {
		first := fmt.Sprintf("127.%d.%d.", 64+rand.IntN(64), rand.IntN(256))
		all := make([]string, count)
		err = nil
		for i := range all {
			all[i] = first + strconv.Itoa(10+i)
			err = errors.Join(err, free(all[i], ports))
		}
		if err == nil {
			return all, nil
		}
	}
	return nil, fmt.Errorf("there is no free loopback address: %w", err)
}

func free(address string, ports []string) error {
	for _, port := range ports {
		l, err := net.Listen("tcp", net.JoinHostPort(address, port))
		if err != nil {
			return err
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

// listening returns when somebody listens on all addresses, and with an error when the process has ended before.
func listening(ctx context.Context, p *engine.Process, addrs ...string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	dialer := net.Dialer{Timeout: time.Second}
	for _, addr := range addrs {
		for {
			conn, err := dialer.DialContext(ctx, "tcp", addr)
			if err == nil {
				if err := conn.Close(); err != nil {
					return err
				}
				break
			}
			select {
			case <-p.Ended():
				return fmt.Errorf("the server has ended: %s", p.LogTail())
			case <-ctx.Done():
				return fmt.Errorf("nobody listens on %s: %w: %s", addr, err, p.LogTail())
			case <-time.After(readyLook):
			}
		}
	}
	return nil
}

// command runs a process until it ends, and has it end with the context. Its output is in the error.
func command(ctx context.Context, p *engine.Process) error {
	select {
	case <-p.Ended():
	case <-ctx.Done():
		p.Kill()
		return context.Cause(ctx)
	}
	if !p.Succeeded() {
		return fmt.Errorf("a command failed: %s", p.LogTail())
	}
	return nil
}

// usedCPU is the processor time that processes and all that they started have used, those included that ended and were waited for.
func usedCPU(roots ...*engine.Process) (sum time.Duration, err error) {
	var pids []int
	for _, root := range roots {
		pids = append(pids, root.PID())
	}
	family, err := procfs.Family(pids...)
	for _, s := range family {
		sum += s.CPU + s.EndedCPU
	}
	return sum, err
}

// usage measures a folder. isLog says which files, by their path in it, are of the event log.
func usage(folder string, isLog func(path string) bool) (u Usage, err error) {
	seen := map[uint64]bool{} // files with several names
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // servers make and remove files all the time
			}
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok || seen[stat.Ino] {
			return nil
		}
		seen[stat.Ino] = true
		within, err := filepath.Rel(folder, path)
		switch {
		case err != nil:
			return err
		case isLog(within):
			if info.Mode().IsRegular() {
				u.LogBytes += info.Size()
			}
		default:
			u.DataBytes += stat.Blocks * 512
		}
		return nil
	})
	return u, err
}

func notLog(string) bool { return false }
