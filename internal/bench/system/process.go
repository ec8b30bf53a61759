package system

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mailreplica/internal/engine"
)

const (
	readyWait   = 60 * time.Second
	readyLook   = 20 * time.Millisecond
	addressTry  = 100
	ticksSecond = 100 // USER_HZ: the unit of times in /proc on every machine that Debian runs on
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
func usedCPU(roots ...*engine.Process) (time.Duration, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	used, children := map[int]int64{}, map[int][]int{}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		pid, parent, ticks, err := parseStat(text)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		used[pid] = ticks
		children[parent] = append(children[parent], pid)
	}
	var sum int64
	var add func(pid int)
	add = func(pid int) {
		sum += used[pid]
		for _, child := range children[pid] {
			add(child)
		}
	}
	for _, root := range roots {
		add(root.PID())
	}
	return time.Duration(sum) * time.Second / ticksSecond, nil
}

// parseStat reads /proc/PID/stat (proc_pid_stat(5)): the name in parentheses may hold any character.
func parseStat(text []byte) (pid, parent int, ticks int64, err error) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 1 || end < open {
		return 0, 0, 0, errors.New("no name")
	}
	fields := strings.Fields(string(text[end+1:])) // from the third on
	if len(fields) < 15 {
		return 0, 0, 0, errors.New("too few fields")
	}
	pid, err = strconv.Atoi(string(bytes.TrimSpace(text[:open])))
	if err == nil {
		parent, err = strconv.Atoi(fields[1])
	}
	for _, field := range fields[11:15] { // utime, stime, and those of children that were waited for
		n, problem := strconv.ParseInt(field, 10, 64)
		ticks, err = ticks+n, errors.Join(err, problem)
	}
	return pid, parent, ticks, err
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
