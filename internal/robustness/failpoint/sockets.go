package failpoint

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Sockets knows which process holds a connection's other end, as Linux tells of this machine's own.
type Sockets struct {
	mu   sync.Mutex
	pids map[string]func() int // of the parties' processes that run, 0 of others
}

// NewSockets knows no process.
func NewSockets() *Sockets { return &Sockets{pids: map[string]func() int{}} }

// Know says which process is a party's now.
func (s *Sockets) Know(party string, pid func() int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pids[party] = pid
}

// Owner is the party that a connection comes from, empty if it comes from none. far is its end, near is ours.
func (s *Sockets) Owner(far, near net.Addr) string {
	inode := inodeOf(far, near)
	if inode == "" {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	want := "socket:[" + inode + "]"
	for party, pid := range s.pids {
		if id := pid(); id > 0 && holds(id, want) {
			return party
		}
	}
	return ""
}

func holds(pid int, want string) bool {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return false
	}
	for _, file := range files {
		if to, err := os.Readlink(file); err == nil && to == want {
			return true
		}
	}
	return false
}

// inodeOf looks the socket up whose local address is far and whose remote one is near (proc_net_tcp(5)).
func inodeOf(far, near net.Addr) string {
	local, remote := hexOf(far), hexOf(near)
	file, err := os.Open("/proc/net/tcp")
	if err != nil || local == "" {
		return ""
	}
	defer file.Close()
	const fieldLocal, fieldRemote, fieldInode = 1, 2, 9
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > fieldInode && fields[fieldLocal] == local && fields[fieldRemote] == remote {
			return fields[fieldInode]
		}
	}
	return ""
}

// hexOf writes an address as that file does: its bytes as one number of this machine's order, which is little-endian.
func hexOf(a net.Addr) string {
	address, err := netip.ParseAddrPort(a.String())
	if err != nil || !address.Addr().Unmap().Is4() {
		return ""
	}
	b := address.Addr().Unmap().As4()
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", b[3], b[2], b[1], b[0], address.Port())
}
