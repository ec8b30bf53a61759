// Package procfs reads what Linux tells of processes (proc(5)), for programs that measure others. It knows nothing of what they do.
package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticksSecond is USER_HZ: the unit of times in /proc on every machine that Debian runs on.
const ticksSecond = 100

// Stat is where a process stands among others, and the processor time, of user and system, that it has used.
type Stat struct {
	PID, Parent int
	CPU         time.Duration
	EndedCPU    time.Duration // of children that have ended and were waited for
}

// StatOf reads it of one process.
func StatOf(pid int) (Stat, error) {
	return readStat(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
}

func readStat(path string) (Stat, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Stat{}, err
	}
	s, err := ParseStat(text)
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return s, err
}

// ParseStat reads /proc/PID/stat (proc_pid_stat(5)): the name in parentheses may hold any character.
func ParseStat(text []byte) (s Stat, err error) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 1 || end < open {
		return s, errors.New("no name")
	}
	fields := strings.Fields(string(text[end+1:])) // from the third on
	if len(fields) < 15 {
		return s, errors.New("too few fields")
	}
	s.PID, err = strconv.Atoi(string(bytes.TrimSpace(text[:open])))
	if err == nil {
		s.Parent, err = strconv.Atoi(fields[1])
	}
	for i, into := range []*time.Duration{&s.CPU, &s.CPU, &s.EndedCPU, &s.EndedCPU} { // utime, stime, cutime, cstime
		ticks, problem := strconv.ParseInt(fields[11+i], 10, 64)
		*into += time.Duration(ticks) * time.Second / ticksSecond
		err = errors.Join(err, problem)
	}
	return s, err
}

// Family are processes and all that they started, as far as they live.
func Family(roots ...int) ([]Stat, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	known, children := map[int]Stat{}, map[int][]int{}
	for _, path := range paths {
		s, err := readStat(path)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			return nil, err
		}
		known[s.PID] = s
		children[s.Parent] = append(children[s.Parent], s.PID)
	}
	var family []Stat
	for all := roots; len(all) > 0; all = all[1:] {
		if s, lives := known[all[0]]; lives {
			family = append(family, s)
		}
		all = append(all[:len(all):len(all)], children[all[0]]...)
	}
	return family, nil
}

// Number is the number behind a name in a file of lines about a process, like VmRSS in status, without its unit.
func Number(pid int, file, name string) (n int64, known bool) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), file))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		rest, found := strings.CutPrefix(line, name+":")
		if fields := strings.Fields(rest); found && len(fields) > 0 {
			n, err := strconv.ParseInt(fields[0], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
