// Package devcluster runs a development cluster (mailstored dev) for programs that show or measure something on real processes:
// it starts and ends it, kills and restarts mailstores, and gives commands with carbonio.
package devcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mailreplica/internal/engine"
)

const (
	readyWait = 2 * time.Minute // engines of production take most of it, on a machine that has other work
	readyLook = 20 * time.Millisecond
	stopWait  = 30 * time.Second
)

// Options say what cluster is run.
type Options struct {
	Bin        string // folder of mailstored and carbonio
	Folder     string // that keeps everything
	Mailstores int
	Engines    string // embedded or production
	Address    string // optional: the first of the loopback addresses that it uses
	Profile    string // optional: the port at which each process answers profiles
	Streams    int    // optional: of the event log
}

// Cluster is a running development cluster. It dies with this process, however this one ends.
type Cluster struct {
	Options
	Process  *engine.Process            // mailstored dev, which started the others
	returned map[string]*engine.Process // mailstores that were killed and started again
}

// Start runs mailstored dev and returns when it is ready. After an error, too, a cluster that is given is to be stopped.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	args := []string{"dev", "--data", o.Folder, "--mailstores", strconv.Itoa(o.Mailstores), "--engines", o.Engines}
	if o.Address != "" {
		args = append(args, "--address", o.Address)
	}
	if o.Profile != "" {
		args = append(args, "--profile", o.Profile)
	}
	if o.Streams > 0 {
		args = append(args, "--streams", strconv.Itoa(o.Streams))
	}
	log := filepath.Join(o.Folder, "dev.log")
	if err := os.MkdirAll(o.Folder, 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(log); err != nil && !errors.Is(err, os.ErrNotExist) { // that of an earlier run says ready, too
		return nil, err
	}
	process, err := engine.StartProcess(exec.Command(filepath.Join(o.Bin, "mailstored"), args...), log)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Options: o, Process: process, returned: map[string]*engine.Process{}}
	return c, c.ready(ctx)
}

// ready waits for the line that begins what a development cluster says when it has started.
func (c *Cluster) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	for !strings.Contains(c.Process.LogTail(), "ready\n") {
		select {
		case <-c.Process.Ended():
			return fmt.Errorf("the cluster has ended: %s", strings.TrimSpace(c.Process.LogTail()))
		case <-ctx.Done():
			return fmt.Errorf("the cluster is not ready, its logs are in %s/log: %w", c.Folder, ctx.Err())
		case <-time.After(readyLook):
		}
	}
	return nil
}

// Stop ends every process. The folder stays.
func (c *Cluster) Stop() {
	for _, one := range c.returned {
		one.Stop(stopWait)
	}
	c.Process.Stop(stopWait)
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
		one.Kill()
		delete(c.returned, name)
		return nil
	}
	pid, err := c.PID(name)
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

// Restart starts a mailstore that was killed, as an operator would, with further arguments. It does not wait for it.
func (c *Cluster) Restart(name string, args ...string) error {
	args = append([]string{"serve", "--config", filepath.Join(c.Folder, "etc", name+".yaml")}, args...)
	process, err := engine.StartProcess(exec.Command(filepath.Join(c.Bin, "mailstored"), args...), filepath.Join(c.Folder, "log", name+".log"))
	if err == nil {
		c.returned[name] = process
	}
	return err
}
