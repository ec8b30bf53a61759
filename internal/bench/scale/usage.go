package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is what a process has used up so far, by /proc.
type usage struct {
	cpu      time.Duration // user and system
	resident int64         // bytes, at this moment
	writes   int64         // system calls that write
}

// clockTick is the unit of times in /proc/PID/stat: 100 a second on every Linux there is (USER_HZ).
const clockTick = 10 * time.Millisecond

func usageOf(pid int) (u usage, err error) {
	folder := fmt.Sprintf("/proc/%d/", pid)
	stat, err := os.ReadFile(folder + "stat")
	if err != nil {
		return u, err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])) // from the state on, field 3 of proc(5)
	for _, at := range []int{14 - 3, 15 - 3} {
		ticks, err := strconv.ParseInt(fields[at], 10, 64)
		if err != nil {
			return u, err
		}
		u.cpu += time.Duration(ticks) * clockTick
	}
	u.resident = number(folder+"status", "VmRSS:") << 10
	u.writes = number(folder+"io", "syscw:")
	return u, nil
}

// number is the first number behind a word of a file of lines, 0 if there is none.
func number(path, word string) int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(text), "\n") {
		if rest, is := strings.CutPrefix(line, word); is {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64) // 0 where it is none
			return n
		}
	}
	return 0
}

// usages are those of the broker and of every mailstore that runs.
func (d *driver) usages() map[string]usage {
	all := map[string]usage{}
	names := []string{"broker"}
	for i := 1; i <= d.cluster.Mailstores; i++ {
		names = append(names, mailstore(i))
	}
	for _, name := range names {
		pid, err := d.cluster.PID(name)
		if err != nil {
			continue
		}
		if u, err := usageOf(pid); err == nil {
			all[name] = u
		}
	}
	return all
}

// measured does something and tells how long it took, and what every process used meanwhile, for each of n.
func (d *driver) measured(what string, n int, do func() error) error {
	before, begun := d.usages(), time.Now()
	err := do()
	took := time.Since(begun)
	text := fmt.Sprintf("%s: %.3f s, %.3f ms each", what, took.Seconds(), took.Seconds()*1000/float64(n))
	for _, name := range []string{"broker", "mbox1", "mbox2", "mbox3"} {
		after, alive := d.usages()[name]
		if !alive {
			continue
		}
		cpu := after.cpu - before[name].cpu
		if cpu < 0 { // another process than before
			cpu = after.cpu
		}
		text += fmt.Sprintf("; %s %.2f s CPU (%.0f us each), %d MB", name, cpu.Seconds(), float64(cpu.Microseconds())/float64(n), after.resident>>20)
	}
	say("%s", text)
	return err
}
