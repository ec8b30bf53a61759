package mariadb

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"mailreplica/internal/fault"
)

const tailBytes = 4 << 10

// process is a child that dies with this process, however this one ends.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended and was waited for
}

// startProcess starts a child whose output goes to the end of a log file.
func startProcess(cmd *exec.Cmd, log string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the log file of MariaDB cannot be opened")
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // ^C is for us to handle
	p := &process{cmd: cmd, ended: make(chan struct{})}
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
		return nil, fault.Wrap(fault.Internal, err, "MariaDB cannot be started")
	}
	return p, nil
}

func (p *process) signal(which syscall.Signal) error {
	if err := p.cmd.Process.Signal(which); err != nil {
		return fault.Wrap(fault.Internal, err, "MariaDB takes no signal")
	}
	return nil
}

func (p *process) kill() error {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.ended
	return nil
}

// stop asks the process to end, and kills it if it takes too long.
func (p *process) stop(most time.Duration) error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	late := time.NewTimer(most)
	defer late.Stop()
	select {
	case <-p.ended:
		return nil
	case <-late.C:
		return p.kill()
	}
}

// tail is the end of a log file.
func tail(path string) string {
	f, err := os.Open(path)
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

// Ports are taken below those that the system gives to outgoing connections: one of these may take a port while the server
// that had it is down.
const (
	portMin = 20_000
	portEnd = 32_000
	portTry = 100
)

func freePort() (int, error) {
	var err error
	for range portTry {
		port := portMin + rand.IntN(portEnd-portMin)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fault.Wrap(fault.Internal, err, "there is no free port for MariaDB")
}

// find is the path of one of MariaDB's programs. Debian keeps the server where users do not look.
func find(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, folder := range []string{"/usr/sbin", "/usr/local/sbin", "/usr/libexec"} {
		if path := filepath.Join(folder, program); exec.Command(path, "--version").Run() == nil {
			return path, nil
		}
	}
	return "", fault.New(fault.Invalid, "%s is not installed", program).WithHint("run scripts/engines mariadb")
}
