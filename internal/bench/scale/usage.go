package main

import (
	"fmt"
	"time"

	"mailreplica/internal/procfs"
)

// usage is what a process has used up so far, by /proc.
type usage struct {
	cpu      time.Duration // user and system
	resident int64         // bytes, at this moment
}

func usageOf(pid int) (usage, error) {
	stat, err := procfs.StatOf(pid)
	kB, _ := procfs.Number(pid, "status", "VmRSS")
	return usage{cpu: stat.CPU, resident: kB << 10}, err
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
	return d.measuredAs(what, n, do, func(*figure) string { return "" })
}

// measuredAs is measured with something to add.
func (d *driver) measuredAs(what string, n int, do func() error, more func(*figure) string) error {
	before, begun := d.usages(), time.Now()
	err := do()
	f := figure{what: what, n: n, took: time.Since(begun), cpu: map[string]time.Duration{}, resident: map[string]int64{}}
	text := fmt.Sprintf("%s: %.3f s, %.3f ms each", what, f.took.Seconds(), f.took.Seconds()*1000/float64(n))
	for _, name := range []string{"broker", "mbox1", "mbox2", "mbox3"} {
		after, alive := d.usages()[name]
		if !alive {
			continue
		}
		cpu := after.cpu - before[name].cpu
		if cpu < 0 { // another process than before
			cpu = after.cpu
		}
		f.cpu[name], f.resident[name] = cpu, after.resident
		text += fmt.Sprintf("; %s %.2f s CPU (%.0f us each), %d MB", name, cpu.Seconds(), float64(cpu.Microseconds())/float64(n), after.resident>>20)
	}
	say("%s%s", text, more(&f))
	d.figures = append(d.figures, f)
	return err
}
