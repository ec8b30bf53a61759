package sim

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"mailreplica/internal/sim/network"
)

// doubtful is the broker's host while it may leave appends in doubt: it writes the records, and answers with an error. So do brokers
// whose followers are away or slow, whose leadership ends before these have the record, or that trip over something behind the write.
type doubtful struct {
	*network.Host
	mu     sync.Mutex
	random *rand.Rand
	chance map[netip.Addr]float64 // that an append from there is answered so
}

// doubts are the errors that a broker may answer with though the records are in the log. The client tries again after all but the last.
var doubts = []error{kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut, kerr.NotLeaderForPartition, kerr.UnknownServerError}

// doubt sets how likely the appends of a mailstore are left in doubt.
func (d *doubtful) doubt(of netip.Addr, chance float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.chance[of] = chance
}

// draw is the error that the next append from an address is answered with, 0 if none.
func (d *doubtful) draw(from netip.Addr) int16 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if chance := d.chance[from]; chance == 0 || d.random.Float64() >= chance {
		return 0
	}
	return doubts[d.random.IntN(len(doubts))].(*kerr.Error).Code
}

// Listen implements broker.Network.
func (d *doubtful) Listen(network, address string) (net.Listener, error) {
	l, err := d.Host.Listen(network, address)
	return doubtfulListener{l, d}, err
}

type doubtfulListener struct {
	net.Listener
	host *doubtful
}

// Accept implements net.Listener.
func (l doubtfulListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	from, err := netip.ParseAddrPort(c.RemoteAddr().String())
	return &doubtfulConn{Conn: c, host: l.host, from: from.Addr(), versions: map[uint32]int16{}}, err
}

// doubtfulConn is a connection as the broker has it.
type doubtfulConn struct {
	net.Conn
	host *doubtful
	from netip.Addr

	mu       sync.Mutex
	read     []byte           // of a request that is not whole yet
	versions map[uint32]int16 // of appends that are not answered, by their correlation
}

// Read implements net.Conn.
func (c *doubtfulConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = append(c.read, b[:n]...)
	for len(c.read) >= 4 {
		size := 4 + int(binary.BigEndian.Uint32(c.read))
		if len(c.read) < size {
			break
		}
		if produce, correlation := produceRequest(c.read[:size]); produce != nil {
			c.versions[correlation] = produce.Version
		}
		c.read = c.read[size:]
	}
	return n, err
}

// Write implements net.Conn. The broker writes each answer at once.
func (c *doubtfulConn) Write(b []byte) (int, error) {
	if answer := c.doubted(b); answer != nil {
		if _, err := c.Conn.Write(answer); err != nil {
			return 0, err
		}
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// doubted is what is answered instead to an append that is left in doubt, nil for all other answers.
func (c *doubtfulConn) doubted(answer []byte) []byte {
	const header = 4 + 4 // size, correlation
	if len(answer) < header {
		return nil
	}
	correlation := binary.BigEndian.Uint32(answer[4:])
	c.mu.Lock()
	version, isAppend := c.versions[correlation]
	delete(c.versions, correlation)
	c.mu.Unlock()
	if !isAppend {
		return nil
	}
	code := c.host.draw(c.from)
	if code == 0 {
		return nil
	}
	produced := kmsg.NewPtrProduceResponse()
	produced.SetVersion(version)
	at := header
	if produced.IsFlexible() {
		at++ // no tags
	}
	if at > len(answer) || produced.ReadFrom(answer[at:]) != nil {
		return nil
	}
	for _, topic := range produced.Topics {
		for i := range topic.Partitions {
			topic.Partitions[i].ErrorCode, topic.Partitions[i].BaseOffset = code, -1
		}
	}
	changed := produced.AppendTo(append([]byte(nil), answer[:at]...))
	binary.BigEndian.PutUint32(changed, uint32(len(changed)-4))
	return changed
}
