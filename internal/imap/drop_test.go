package imap_test

import (
	"errors"
	"testing"

	"mailreplica/internal/fault"
	"mailreplica/internal/imap"
	"mailreplica/internal/imap/memory"
)

// An APPEND that is refused leaves no message behind that nothing names.
func TestRefusedAppendDropsWhatItStored(t *testing.T) {
	const binary = "Content-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\nx"
	for name, x := range map[string]struct {
		faults  memory.Faults
		command string
		want    int // messages in the volume
	}{
		"taken":          {memory.Faults{}, "a APPEND INBOX {1+}\r\nx {1+}\r\ny", 2},
		"update refused": {memory.Faults{Update: fault.New(fault.NotHome, "moved")}, "a APPEND INBOX {1+}\r\nx {1+}\r\ny", 0},
		"second empty":   {memory.Faults{}, "a APPEND INBOX {1+}\r\nx {0+}\r\n", 0},
		"binary":         {memory.Faults{}, "a APPEND INBOX ~{65+}\r\n" + binary, 1},
		"binary unread":  {memory.Faults{OpenBody: errors.New("the volume is away")}, "a APPEND INBOX ~{65+}\r\n" + binary, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b, m := backendWithTest()
			_, address := startServer(t, imap.Config{Backend: b, AllowPlaintext: true})
			c := login(t, address)
			m.Fail(x.faults)
			c.send(x.command)
			c.line()
			m.Fail(memory.Faults{})
			if got := m.Blobs(); got != x.want {
				t.Errorf("got %d messages in the volume, want %d", got, x.want)
			}
		})
	}
}
