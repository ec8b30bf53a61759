package sim

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"mailreplica/internal/blob"
	"mailreplica/internal/config"
	"mailreplica/internal/node"
	"mailreplica/internal/sim/disk"
	"mailreplica/internal/sim/network"
)

// mailstore is one mailstore over all its lives. The nemesis alone starts and ends them.
type mailstore struct {
	cluster *cluster
	index   int
	name    string
	ip      netip.Addr

	lives  int
	data   string // folder of the next life
	volume volumeFaults
	wrong  atomic.Int64         // by how much its clock is, in nanoseconds
	life   atomic.Pointer[life] // nil while it is down
	last   *life                // that was begun last
}

// life is one process of a mailstore.
type life struct {
	store     *mailstore
	number    int
	node      atomic.Pointer[node.Node] // nil until it has started
	host      *network.Host
	disk      *disk.Disk
	data      string
	link      string // symbolic link to the directory's folder; without it the directory is away
	begun     time.Time
	dead      atomic.Bool
	turning   atomic.Bool   // its agent is being stopped and started
	powerLost bool          // by an armed crash
	armed     bool          // it will crash at a write
	started   chan struct{} // closed when starting has succeeded or failed
	err       error         // of starting
	ended     chan struct{} // closed when nothing of it runs any more
}

func (l *life) String() string { return fmt.Sprintf("%s, life %d", l.store.name, l.number) }

func (m *mailstore) config(l *life) config.Config {
	c := config.Default()
	at := func(port uint16) string { return netip.AddrPortFrom(m.ip, port).String() }
	c.FQDN, c.Data, c.Directory = m.name, l.data, filepath.Join(l.link, directoryName)
	c.Tokens = config.Tokens{Admin: filepath.Join(m.cluster.folder, "admin.token"), Peer: filepath.Join(m.cluster.folder, "peer.token")}
	c.Volumes = []config.Volume{{Name: volumeName, Path: filepath.Join(m.cluster.folder, "blobs"), Centralised: true}}
	c.PrimaryVolume, c.Log.Replication, c.Log.Streams = volumeName, 1, m.cluster.options.Streams
	c.Reclaim.GraceHours = 1
	c.Listen = config.Listen{Admin: at(adminPort), Peer: at(peerPort), LMTP: at(lmtpPort), IMAP: at(imapPort)}
	c.IMAP.AllowPlaintext = true // from loopback addresses, as those of mail programs are
	return c
}

// start begins a life. It does not wait for it to be ready, but does for an earlier one to have stopped.
func (m *mailstore) start() (*life, error) {
	if m.last != nil && m.last.data == m.data {
		<-m.last.ended
	}
	m.lives++
	l := &life{
		store: m, number: m.lives, data: m.data, started: make(chan struct{}), ended: make(chan struct{}), begun: time.Now(),
		link: filepath.Join(m.cluster.folder, fmt.Sprintf("%s-directory-%d", m.name, m.lives)),
	}
	if err := os.MkdirAll(l.data, 0o700); err != nil {
		return nil, err
	}
	if err := os.Symlink(filepath.Join(m.cluster.folder, "directory"), l.link); err != nil {
		return nil, err
	}
	var err error
	if l.disk, err = disk.Mount(l.data); err != nil {
		return nil, err
	}
	l.host = m.cluster.network.Host(m.name, m.ip)
	world := node.Surroundings{
		Listen: l.host.ListenContext, Dial: l.host.DialContext, Clock: hasty{l.begun, m}, Every: reclaimEvery,
		Volume: func(v blob.Volume) blob.Volume { return &volume{Volume: v, life: l, faults: &m.volume} },
	}
	m.last = l
	m.life.Store(l)
	m.cluster.background.Go(func() {
		defer close(l.started)
		m.clock().wear()
		n, err := node.StartIn(context.Background(), world, m.config(l), "simulation", slog.New(m.cluster.trace.handler(l)))
		if err != nil {
			l.err = err
			return
		}
		l.node.Store(n)
	})
	return l, nil
}

// stop ends a life in good order.
func (m *mailstore) stop() {
	l := m.life.Swap(nil)
	if l == nil {
		return
	}
	l.dead.Store(true) // clients take no answer from it any more
	m.cluster.background.Go(func() {
		if err := l.end(); err != nil {
			m.cluster.trace.add(m.name[:5], "did not stop cleanly: %v", err)
		}
	})
}

// end ends the node's goroutines, whether it is dead or not, and tidies up.
func (l *life) end() error {
	defer close(l.ended)
	<-l.started
	var err error
	if n := l.node.Load(); n != nil {
		err = n.Stop(context.Background())
	}
	l.host.Crash(false)
	l.disk.Unmount()
	_ = os.Remove(l.link)
	return err
}

// crash ends a life as a killed process or, with power, as a machine that loses power ends: nothing is closed, and the next life
// begins with what the disk kept.
func (m *mailstore) crash(power bool) error {
	l := m.life.Swap(nil)
	if l == nil {
		return nil
	}
	l.cutOff(power)
	m.data = filepath.Join(m.cluster.folder, fmt.Sprintf("%s-%d", m.name, m.lives+1))
	if err := l.disk.Leave(m.data, power, m.cluster.random); err != nil {
		return err
	}
	m.cluster.background.Go(func() {
		_ = l.end() // it fails at everything
		_ = os.RemoveAll(l.data)
	})
	return nil
}

// cutOff takes everything from a process: no byte leaves it any more, and none is written. It does not wait.
func (l *life) cutOff(silent bool) {
	l.dead.Store(true)
	l.disk.Kill()
	l.host.Crash(silent)
	_ = os.Remove(l.link)
}

// crashWithin has the process die at one of its next writes.
func (l *life) crashWithin(writes int, power bool, told chan<- *life) {
	l.powerLost, l.armed = power, true
	l.disk.KillAfter(writes, func() {
		l.dead.Store(true)
		l.host.Crash(power)
		_ = os.Remove(l.link)
		select {
		case told <- l:
		default:
		}
	})
}

// loseDirectory takes the directory from a running mailstore, or gives it back.
func (l *life) loseDirectory(away bool) {
	if away {
		_ = os.Remove(l.link)
	} else if !l.dead.Load() {
		_ = os.Symlink(filepath.Join(l.store.cluster.folder, "directory"), l.link) // it may be there
	}
}
