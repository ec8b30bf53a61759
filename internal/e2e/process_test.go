package e2e_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mailreplica/internal/engine"
)

const (
	readyWait = 30 * time.Second
	endWait   = 25 * time.Second // longer than a mailstore's own bound for an orderly stop
)

// process is one of the programs under test.
type process struct {
	t     testing.TB
	name  string
	args  []string
	log   string   // path of the file with its output
	ports []string // it listens there when it is ready

	mu    sync.Mutex
	child *engine.Process // nil before the first start
}

// begin starts the process and does not wait until it is ready.
func (p *process) begin() {
	p.t.Helper()
	child, err := engine.StartProcess(exec.Command(filepath.Join(bin, "mailstored"), p.args...), p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.child = child
	p.mu.Unlock()
}

// start starts the process and returns when it listens.
func (p *process) start() {
	p.t.Helper()
	p.begin()
	p.ready()
}

func (p *process) ready() {
	p.t.Helper()
	for _, addr := range p.ports {
		eventually(p.t, readyWait, func() error {
			if child := p.now(); child != nil && child.HasEnded() {
				return fmt.Errorf("%s has ended: %s", p.name, tail(p.log, 5))
			}
			conn, err := net.DialTimeout("tcp", addr, time.Second)
			if err != nil {
				return fmt.Errorf("%s is not ready: %w", p.name, err)
			}
			return conn.Close()
		})
	}
}

func (p *process) now() *engine.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.child
}

// kill ends the process as a power cut of its machine would, and returns when it is gone.
func (p *process) kill() {
	if child := p.now(); child != nil {
		child.Kill()
	}
}

// terminate ends the process in order.
func (p *process) terminate() {
	p.t.Helper()
	begun := time.Now()
	p.now().Stop(endWait)
	if time.Since(begun) >= endWait {
		p.t.Errorf("%s does not end on SIGTERM within %s", p.name, endWait)
	}
}

// stop returns when the process does nothing any more.
func (p *process) stop() { p.signal(syscall.SIGSTOP) }
func (p *process) cont() { p.signal(syscall.SIGCONT) }

func (p *process) signal(which syscall.Signal) {
	p.t.Helper()
	if err := p.now().Signal(which); err != nil {
		p.t.Fatal(err)
	}
}

// restart kills the process and starts it again.
func (p *process) restart() {
	p.t.Helper()
	p.kill()
	p.start()
}

// complaints are the lines of its log that say that the program itself is wrong.
func (p *process) complaints() (lines []string) {
	text, _ := os.ReadFile(p.log)
	for line := range strings.SplitSeq(string(text), "\n") {
		for _, sign := range []string{"panic", "DATA RACE", "goroutine ", "fatal error"} {
			if strings.Contains(line, sign) {
				lines = append(lines, line)
				break
			}
		}
	}
	return lines[:min(len(lines), 10)]
}

func tail(path string, n int) string {
	text, _ := os.ReadFile(path)
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}

// Ports are taken below the range that outgoing connections use, so that nothing takes the port of a process that is dead
// for a while, and below those of the engines of production.
const portMin, portMax = 10_000, 20_000

var (
	portsMu sync.Mutex
	portsOf = map[int]bool{} // given out by this run
)

func freeAddress(t testing.TB) string {
	t.Helper()
	portsMu.Lock()
	defer portsMu.Unlock()
	for range 1000 {
		port := portMin + rand.IntN(portMax-portMin)
		if portsOf[port] {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		portsOf[port] = true
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return l.Addr().String()
	}
	t.Fatal("no free port")
	return ""
}
