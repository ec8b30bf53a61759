// Package devcluster runs a development cluster (mailstored dev) for programs that show or measure something on real processes:
// it starts and ends it, kills and restarts mailstores, and gives commands with carbonio.
package devcluster

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const readyWait = 60 * time.Second

// Options say what cluster is run.
type Options struct {
	Bin        string // folder of mailstored and carbonio
	Folder     string // that keeps everything
	Mailstores int
	Engines    string // embedded or production
	Address    string // optional: the first of the loopback addresses that it uses
	Profile    string // optional: the port at which each process answers profiles
}

// Cluster is a running development cluster.
type Cluster struct {
	Options
	dev      *exec.Cmd
	returned map[string]*exec.Cmd // mailstores that were killed and started again
}

// Start runs mailstored dev and returns when it prints ready.
func Start(o Options) (*Cluster, error) {
	args := []string{"dev", "--data", o.Folder, "--mailstores", strconv.Itoa(o.Mailstores), "--engines", o.Engines}
	if o.Address != "" {
		args = append(args, "--address", o.Address)
	}
	if o.Profile != "" {
		args = append(args, "--profile", o.Profile)
	}
	c := &Cluster{Options: o, dev: exec.Command(filepath.Join(o.Bin, "mailstored"), args...), returned: map[string]*exec.Cmd{}}
	out, err := c.dev.StdoutPipe()
	if err != nil {
		return c, err
	}
	var problems bytes.Buffer
	c.dev.Stderr = &problems
	if err := c.dev.Start(); err != nil {
		return c, err
	}
	ready := make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if lines.Text() == "ready" {
				ready <- nil
				break
			}
		}
		_, _ = io.Copy(io.Discard, out) // what it says later is in its logs
		select {
		case ready <- fmt.Errorf("the cluster ended: %s", strings.TrimSpace(problems.String())):
		default:
		}
	}()
	select {
	case err := <-ready:
		return c, err
	case <-time.After(readyWait):
		return c, fmt.Errorf("the cluster is not ready after %s; its logs are in %s/log", readyWait, o.Folder)
	}
}

// Stop ends every process. The folder stays.
func (c *Cluster) Stop() {
	processes := []*exec.Cmd{c.dev}
	for _, one := range c.returned {
		processes = append([]*exec.Cmd{one}, processes...)
	}
	for _, process := range processes {
		if process.Process == nil {
			continue
		}
		_ = process.Process.Signal(syscall.SIGINT) // it may have ended by itself
		_ = process.Wait()
	}
}

// Carbonio runs one command of the admin CLI and returns what it prints.
func (c *Cluster) Carbonio(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, filepath.Join(c.Bin, "carbonio"), args...)
	command.Env = append(os.Environ(), "CARBONIO_CONFIG="+filepath.Join(c.Folder, "etc", "carbonio.yaml"))
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil {
		return out.String(), fmt.Errorf("carbonio %s: %w\n%s%s", strings.Join(args, " "), err, out.String(), problems.String())
	}
	return out.String(), nil
}

// PID is the process id of a mailstore, or of an engine.
func (c *Cluster) PID(name string) (int, error) {
	text, err := os.ReadFile(filepath.Join(c.Folder, "run", name+".pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// Kill ends a process as a power cut would.
func (c *Cluster) Kill(name string) error {
	if one := c.returned[name]; one != nil {
		err := one.Process.Kill()
		_ = one.Wait() // it says that it was killed
		delete(c.returned, name)
		return err
	}
	pid, err := c.PID(name)
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

// Restart starts a mailstore that was killed, as an operator would, with further arguments. It does not wait for it.
func (c *Cluster) Restart(name string, args ...string) error {
	log, err := os.OpenFile(filepath.Join(c.Folder, "log", name+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args = append([]string{"serve", "--config", filepath.Join(c.Folder, "etc", name+".yaml")}, args...)
	process := exec.Command(filepath.Join(c.Bin, "mailstored"), args...)
	process.Stdout, process.Stderr = log, log
	c.returned[name] = process
	return process.Start()
}
