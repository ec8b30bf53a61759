package broker_test

import (
	"io"
	"net"
	"sync/atomic"
	"testing"

	"mailreplica/internal/engine/enginetest"
	"mailreplica/internal/eventlog/broker"
	"mailreplica/internal/fault"
)

// TestAdvertise has clients come by another address than the broker's own: all of their connections do.
func TestAdvertise(t *testing.T) {
	own := enginetest.FreeAddress(t, enginetest.Loopback)
	way, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer way.Close()
	var came atomic.Int64
	go func() {
		for {
			conn, err := way.Accept()
			if err != nil {
				return
			}
			came.Add(1)
			go forward(conn, own)
		}
	}()
	b, err := broker.Start(broker.Config{Listen: own, Advertise: way.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Address() != way.Addr().String() {
		t.Errorf("the broker says that it is at %s, want %s", b.Address(), way.Addr())
	}
	l := openLog(t, own) // where it is told where to go
	appendAll(t, l, 0, 0, 10)
	if came.Load() == 0 {
		t.Error("nobody came by the address that clients are told")
	}
	for _, wrong := range []string{"0.0.0.0:9092", "broker.example.com:9092", "127.0.0.1:0", "127.0.0.1"} {
		if _, err := broker.Start(broker.Config{Listen: "127.0.0.1:0", Advertise: wrong}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("advertising %q: %v, want Invalid", wrong, err)
		}
	}
}

func forward(conn net.Conn, to string) {
	defer conn.Close()
	far, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer far.Close()
	go func() {
		defer conn.Close()
		_, _ = io.Copy(conn, far)
	}()
	_, _ = io.Copy(far, conn)
}
