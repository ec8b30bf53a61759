package cluster

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"mailreplica/internal/engine"
)

const (
	readyWait = 60 * time.Second
	stopWait  = 30 * time.Second // longer than a mailstore's own bound for an orderly stop
	pollEvery = 20 * time.Millisecond
)

// Process is a program of the cluster, over all its lives. One goroutine starts and ends it; others may ask for its id.
type Process struct {
	Name  string
	Log   string // path of the file that it writes to
	bin   string
	args  []string
	env   []string
	ports []string // it listens there when it is ready

	mu      sync.Mutex
	process *engine.Process // nil when none runs
	frozen  bool
}

// PID is the process's id, 0 if none runs.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process == nil || p.process.HasEnded() {
		return 0
	}
	return p.process.PID()
}

// Runs reports whether the process is there and does not stand still.
func (p *Process) Runs() bool {
	if p.PID() == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.frozen
}

// Begin starts the process, if none runs, and does not wait until it is ready.
func (p *Process) Begin() error {
	if p.PID() != 0 {
		return nil
	}
	command := exec.Command(p.bin, p.args...)
	command.Env = append(os.Environ(), p.env...)
	process, err := engine.StartProcess(command, p.Log)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.process, p.frozen = process, false
	return nil
}

// Ready waits until the process listens.
func (p *Process) Ready() error {
	for end := time.Now().Add(readyWait); ; time.Sleep(pollEvery) {
		p.mu.Lock()
		process := p.process
		p.mu.Unlock()
		if process == nil {
			return fmt.Errorf("%s does not run", p.Name)
		}
		select {
		case <-process.Ended():
			return fmt.Errorf("%s has ended: %s", p.Name, process.LogTail())
		default:
		}
		if p.listens() {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is not ready after %s: %s", p.Name, readyWait, process.LogTail())
		}
	}
}

func (p *Process) listens() bool {
	for _, address := range p.ports {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return false
		}
		_ = conn.Close()
	}
	return true
}

// Start starts the process and waits until it is ready.
func (p *Process) Start() error {
	if err := p.Begin(); err != nil {
		return err
	}
	return p.Ready()
}

// Kill ends the process as kill -9 does.
func (p *Process) Kill() {
	if process := p.forget(); process != nil {
		process.Kill()
	}
}

// Stop ends the process in good order; taking too long is an error.
func (p *Process) Stop() error {
	if err := p.Thaw(); err != nil {
		return err
	}
	process := p.forget()
	if process == nil {
		return nil
	}
	begun := time.Now()
	process.Stop(stopWait)
	if took := time.Since(begun); took >= stopWait {
		return fmt.Errorf("%s does not end within %s", p.Name, stopWait)
	}
	return nil
}

func (p *Process) forget() *engine.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	process := p.process
	p.process, p.frozen = nil, false
	return process
}

// Freeze has the process stand still.
func (p *Process) Freeze() error { return p.signal(syscall.SIGSTOP, true) }

// Thaw has it go on, if it stands still.
func (p *Process) Thaw() error {
	p.mu.Lock()
	frozen := p.frozen
	p.mu.Unlock()
	if !frozen {
		return nil
	}
	return p.signal(syscall.SIGCONT, false)
}

func (p *Process) signal(which syscall.Signal, frozen bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process == nil {
		return fmt.Errorf("%s does not run", p.Name)
	}
	p.frozen = frozen
	return p.process.Signal(which)
}
