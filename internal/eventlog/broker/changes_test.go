package broker_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"mailreplica/internal/eventlog/broker"
	"mailreplica/internal/eventlog/broker/brokertest"
	"mailreplica/internal/fault"
)

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("some"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A folder may be reached by a link: what is written in it is synced all the same. A link within it is refused, rather than that what
// lies beyond is never synced.
func TestChangesBeyondLinks(t *testing.T) {
	real, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	changed, _ := broker.Changes(t, link)
	changed()
	write(t, filepath.Join(link, "file"))
	if got := changed(); !got[filepath.Join(real, "file")] {
		t.Errorf("the file was written to, changed are %v", got)
	}
	if err := os.Symlink(t.TempDir(), filepath.Join(real, "partitions")); err != nil {
		t.Fatal(err)
	}
	_, err := broker.Start(broker.Config{Listen: "127.0.0.1:0", DataDir: link, SyncWrites: true})
	if !fault.Is(err, fault.DatabaseUnavailable) {
		t.Errorf("a link in the folder: got %v", err)
	}
}

// While the folder is looked through, for the kernel's queue ran over, folders of topics come and go: every file that stays is found.
func TestOverflowWhileFoldersAreRemoved(t *testing.T) {
	dir := t.TempDir()
	stays := filepath.Join(dir, "z")
	write(t, stays)
	changed, overflow := broker.Changes(t, dir)
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for n := range 20 {
				name := filepath.Join(dir, fmt.Sprint("a", n))
				if err := os.Mkdir(name, 0o700); err != nil {
					t.Error(err)
				}
			}
			for n := range 20 {
				if err := os.Remove(filepath.Join(dir, fmt.Sprint("a", n))); err != nil {
					t.Error(err)
				}
			}
		}
	})
	changed()
	for range 300 {
		overflow()
		if !changed()[stays] {
			t.Error("a file was passed by")
			break
		}
	}
	close(stop)
	others.Wait()
}

// early is a network that notes whether the cluster accepts clients while a file is there.
type early struct {
	file  string
	there chan bool // at the first time
}

type earlyListener struct {
	net.Listener
	early *early
}

func (e *early) Listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return earlyListener{l, e}, err
}

func (l earlyListener) Accept() (net.Conn, error) {
	_, err := os.Stat(l.early.file)
	select {
	case l.early.there <- err == nil:
	default:
	}
	return l.Listener.Accept()
}

// Nobody is accepted before the producers' sequences of before are forgotten: left behind by a process that was killed, they would
// contradict what was appended meanwhile.
func TestNobodyIsAcceptedBeforeSequencesAreForgotten(t *testing.T) {
	dir := t.TempDir()
	sequences := filepath.Join(dir, "seq_windows.json")
	first := brokertest.StartBroker(t, broker.Config{DataDir: dir})
	appendAll(t, openLog(t, first.Address()), 0, 0, 1)
	first.Close()
	if _, err := os.Stat(sequences); err != nil {
		t.Fatal(err)
	}
	for range 150 { // it is a matter of microseconds
		e := &early{sequences, make(chan bool, 1)}
		b := brokertest.StartBroker(t, broker.Config{DataDir: dir, Network: e})
		if <-e.there {
			t.Fatal("clients are accepted before the file is removed")
		}
		b.Close()
	}
}

func (*early) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

// The disk is full when the sequences are to be written: the next start does not find half of them.
func TestSequencesAreWrittenWhole(t *testing.T) {
	dir := t.TempDir()
	sequences := filepath.Join(dir, "seq_windows.json")
	first := brokertest.StartBroker(t, broker.Config{DataDir: dir})
	appendAll(t, openLog(t, first.Address()), 0, 0, 1)
	first.Close()
	if err := os.Remove(sequences); err != nil { // as after a crash
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", sequences+".tmp"); err != nil {
		t.Fatal(err)
	}
	if _, err := broker.Start(broker.Config{Listen: "127.0.0.1:0", DataDir: dir}); !fault.Is(err, fault.DatabaseUnavailable) {
		t.Errorf("on a full disk: got %v", err)
	}
	if _, err := os.Stat(sequences); err == nil {
		t.Error("half a file is there")
	}
	brokertest.StartBroker(t, broker.Config{DataDir: dir})
}
