package cluster

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"

	"mailreplica/internal/config"
	"mailreplica/internal/engine"
	"mailreplica/internal/robustness/failpoint"
	"mailreplica/internal/scenario"
)

// embedded is one broker of this program, files of SQLite on a disk of each mailstore, and a folder of blobs on a disk.
type embedded struct {
	broker  *Process
	brokers string // as clients reach it
	disk    *failpoint.Disk
}

func (e *embedded) start(_ context.Context, c *Cluster) (err error) {
	init := exec.Command(filepath.Join(c.options.Bin, "mailstored"), "init", "--directory", c.path("directory", "directory.db"))
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("mailstored init: %w\n%s", err, out)
	}
	if e.disk, err = failpoint.Mount(c.path("volume"), c.options.DiskMB); err != nil {
		return err
	}
	port, err := engine.FreePort()
	if err != nil {
		return err
	}
	own := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if e.brokers, err = c.way(brokersName, own); err != nil {
		return err
	}
	e.broker = c.process("broker", []string{own}, "broker", "--data", c.path("broker"), "--listen", own, "--advertise", e.brokers)
	return e.broker.Start()
}

func (e *embedded) configure(_ context.Context, c *Cluster, m *config.Config, i int) (err error) {
	m.Directory = c.path("directory", "directory.db")
	m.Volumes = []config.Volume{{Name: volumeName, Path: filepath.Join(e.disk.Path, "blobs"), Centralised: true}}
	m.PrimaryVolume = volumeName
	m.Log.Replication, m.Log.Streams = 1, 4
	store := c.Stores[i-1]
	store.disk, err = failpoint.Mount(store.Data, c.options.DiskMB)
	return err
}

func (e *embedded) ready(context.Context, *Cluster) (string, error) { return e.brokers, nil }

func (e *embedded) has(step scenario.Step) bool {
	for _, p := range []scenario.Party{step.At, step.To} {
		switch p {
		case scenario.Broker, scenario.Directory: // there is one broker, and the directory is a file
			return false
		case scenario.Volume:
			if step.Do != scenario.Fill && step.Do != scenario.Empty {
				return false
			}
		}
	}
	return true
}

func (e *embedded) do(_ context.Context, step scenario.Step) error {
	switch step.Do {
	case scenario.Kill:
		e.broker.Kill()
		return nil
	case scenario.Start:
		return e.broker.Start()
	case scenario.Freeze:
		return e.broker.Freeze()
	case scenario.Thaw:
		return e.broker.Thaw()
	case scenario.Fill:
		return e.disk.Fill()
	case scenario.Empty:
		return e.disk.Empty()
	}
	return fmt.Errorf("the embedded engines cannot %s", step)
}

func (e *embedded) mend(context.Context) error {
	if err := e.disk.Empty(); err != nil {
		return err
	}
	if err := e.broker.Thaw(); err != nil {
		return err
	}
	return e.broker.Start()
}

func (e *embedded) processes() []*Process {
	if e.broker == nil {
		return nil
	}
	return []*Process{e.broker}
}

func (e *embedded) stop() error {
	if e.broker != nil {
		e.broker.Kill()
	}
	if e.disk != nil {
		return e.disk.Unmount()
	}
	return nil
}
