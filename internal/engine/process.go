package engine

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"mailreplica/internal/fault"
)

// tailBytes is how much of an engine's log stands in an error.
const tailBytes = 4 << 10

const freezeMax = 5 * time.Second

// Process is a child that dies with this process, however this one ends.
type Process struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{} // closed when it has ended and was waited for
}

// StartProcess starts a child whose output goes to the end of a log file.
func StartProcess(cmd *exec.Cmd, log string) (*Process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the engine's log file cannot be opened")
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // ^C is for us to handle
	p := &Process{cmd: cmd, log: log, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The signal comes when the thread that started the child ends (prctl(2)), so that thread is kept.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.ended)
		defer out.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
	}()
	if err := <-started; err != nil {
		return nil, fault.Wrap(fault.Internal, err, "%s cannot be started", cmd.Path)
	}
	return p, nil
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// HasEnded says whether the process has ended.
func (p *Process) HasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// Succeeded says of a process that has ended whether its exit status was 0.
func (p *Process) Succeeded() bool { return p.cmd.ProcessState != nil && p.cmd.ProcessState.Success() }

// Result says how a process ended that has ended.
func (p *Process) Result() string { return p.cmd.ProcessState.String() }

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal: SIGSTOP freezes the process, SIGCONT ends that. It returns when a process that it froze does
// nothing any more.
func (p *Process) Signal(which syscall.Signal) error {
	if err := p.cmd.Process.Signal(which); err != nil {
		return fault.Wrap(fault.Internal, err, "%s takes no signal", p.cmd.Path)
	}
	if which != syscall.SIGSTOP {
		return nil
	}
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	late := time.NewTimer(freezeMax)
	defer late.Stop()
	for !p.frozen() {
		select {
		case <-look.C:
		case <-p.ended:
			return fault.New(fault.Internal, "%s has ended", p.cmd.Path)
		case <-late.C:
			return fault.New(fault.Internal, "%s does not freeze", p.cmd.Path)
		}
	}
	return nil
}

// frozen reports whether every thread of the process has taken its SIGSTOP: on a busy machine some go on for a while.
func (p *Process) frozen() bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.PID()))
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // that thread has ended
		}
		// The state follows the name, which stands in parentheses and may hold any character (proc_pid_stat(5)).
		if _, rest, found := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " "); !found || !strings.HasPrefix(rest, "T") {
			return false
		}
	}
	return err == nil && len(threads) > 0
}

// Kill ends the process as a loss of it does: kill -9. It returns when the process is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.ended
}

// Stop asks the process to end, and kills it if that takes too long.
func (p *Process) Stop(most time.Duration) {
	if p.Signal(syscall.SIGTERM) != nil {
		p.Kill() // it has ended by itself
		return
	}
	late := time.NewTimer(most)
	defer late.Stop()
	select {
	case <-p.ended:
	case <-late.C:
		p.Kill()
	}
}

// LogTail is the end of the process's log.
func (p *Process) LogTail() string {
	f, err := os.Open(p.log)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-tailBytes), io.SeekStart)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Ports are taken below those that the system gives to outgoing connections: one of these may take a port while the engine
// that had it is down.
const (
	portMin = 20_000
	portEnd = 32_000
	portTry = 100
)

// FreePort finds a port of 127.0.0.1 that nobody listens on.
func FreePort() (int, error) { return FreePortAt("127.0.0.1") }

// ports that were given by this process, and where it began: processes that run side by side begin elsewhere.
var (
	portsBegin = rand.Uint32N(portEnd - portMin)
	portsGiven atomic.Uint32
)

// FreePortAt finds a port that nobody listens on at an address. One that it gave is not given again soon, for whoever has it may not listen yet.
func FreePortAt(address string) (int, error) {
	var err error
	for range portTry {
		port := portMin + int((portsBegin+portsGiven.Add(1))%(portEnd-portMin))
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fault.Wrap(fault.Internal, err, "there is no free port for an engine")
}
