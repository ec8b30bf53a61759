package cluster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mailreplica/internal/procfs"
	"mailreplica/internal/robustness/failpoint"
)

const profileWait = 10 * time.Second

// Figures are what a process uses at one time, by name, with the unit in it.
type Figures map[string]float64

// Figures tells what a process uses: from /proc, from its disk, and of a mailstore from its profiles. A figure that cannot be told now
// is left out.
func (c *Cluster) Figures(ctx context.Context, p *Process) Figures {
	f := Figures{}
	if pid := p.PID(); pid > 0 {
		rss, _ := procfs.Number(pid, "status", "VmRSS")
		threads, _ := procfs.Number(pid, "status", "Threads")
		f["RSS MB"], f["threads"] = float64(rss)/1024, float64(threads)
		if files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err == nil {
			f["open files"] = float64(len(files))
		}
	}
	if info, err := os.Stat(p.Log); err == nil {
		f["log KB"] = float64(info.Size()) / 1024
	}
	for _, m := range c.Stores {
		if m.Process != p {
			continue
		}
		if v, found := c.profile(ctx, m, "goroutine", "goroutine profile: total "); found {
			f["goroutines"] = v
		}
		if v, found := c.profile(ctx, m, "heap", "# HeapAlloc = "); found {
			f["heap MB"] = v / (1 << 20)
		}
		f["data KB"] = float64(sizeOf(m.Data)) / 1024
	}
	return f
}

// Shared tells how large what the mailstores share is.
func (c *Cluster) Shared() Figures {
	f := Figures{}
	if blobs := c.path("volume", "blobs"); exists(blobs) {
		f["volume objects"], f["volume KB"] = float64(count(blobs)), float64(sizeOf(blobs))/1024
	}
	for name, folder := range map[string]string{"event log KB": "broker", "directory KB": "directory"} {
		if exists(c.path(folder)) {
			f[name] = float64(sizeOf(c.path(folder))) / 1024
		}
	}
	return f
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// profile finds the number that stands after some words in a profile. The heap is collected first, so that what is counted is in use.
func (c *Cluster) profile(ctx context.Context, m *Mailstore, name, words string) (float64, bool) {
	ctx, cancel := context.WithTimeout(ctx, profileWait)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.profiles+"/debug/pprof/"+name+"?debug=1&gc=1", nil)
	if err != nil {
		return 0, false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, false // it stands still, perhaps
	}
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	for {
		line, err := lines.ReadString('\n')
		if rest, found := strings.CutPrefix(line, words); found {
			n, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			return n, err == nil
		}
		if err != nil {
			_, _ = io.Copy(io.Discard, response.Body)
			return 0, false
		}
	}
}

func walk(root string, see func(fs.FileInfo)) {
	_ = filepath.WalkDir(root, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil // it is gone meanwhile
		}
		if info, err := entry.Info(); err == nil {
			see(info)
		}
		return nil
	})
}

func sizeOf(root string) (bytes int64) {
	walk(root, func(info fs.FileInfo) {
		if info.Name() != failpoint.Filler {
			bytes += info.Size()
		}
	})
	return bytes
}

func count(root string) (files int) {
	walk(root, func(fs.FileInfo) { files++ })
	return files
}
