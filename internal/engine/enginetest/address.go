// Package enginetest is for tests that start servers of their own.
package enginetest

import (
	"net"
	"strconv"
	"testing"

	"mailreplica/internal/engine"
)

// Loopback is the host that all tests of a machine share.
const Loopback = "127.0.0.1"

// FreeAddress is one at a host that nobody listens on, and that no outgoing connection is given.
func FreeAddress(t testing.TB, host string) string {
	t.Helper()
	port, err := engine.FreePortAt(host)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}
