package eventlog_test

import (
	"net"
	"slices"
	"strings"
	"testing"

	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
)

// FuzzParseBrokers reads anything. What is taken are addresses, each once, and reads the same again.
func FuzzParseBrokers(f *testing.F) {
	for _, list := range []string{
		"a", "a:1,b:2", "[::1]:9092,::1,127.0.0.1", " a , B:65535 ", "a,,b", "a:0", "a:65536", "[::1", "1.2.3", "fe80::1%eth0", strings.Repeat("a,", 65), "[::ffff:1.2.3.4]:1",
	} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		brokers, err := eventlog.ParseBrokers(list)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%q: got %v", list, err)
			}
			return
		}
		if len(brokers) == 0 || len(brokers) > 64 {
			t.Errorf("%q: %d brokers", list, len(brokers))
		}
		for _, b := range brokers {
			if host, _, err := net.SplitHostPort(b); err != nil || host == "" {
				t.Errorf("%q: %q is no address", list, b)
			}
		}
		again, err := eventlog.ParseBrokers(strings.Join(brokers, ","))
		if err != nil || !slices.Equal(again, brokers) {
			t.Errorf("%q: %q is read as %q, %v", list, brokers, again, err)
		}
	})
}

func TestBrokersAtTheirLimit(t *testing.T) {
	names := make([]string, 65)
	for i := range names {
		names[i] = "b" + strings.Repeat("x", i)
	}
	names = names[:63] // a label has at most 63 bytes
	names = append(names, "c", "d")
	if brokers, err := eventlog.ParseBrokers(strings.Join(names[:64], ",")); err != nil || len(brokers) != 64 {
		t.Errorf("64 brokers: %v", err)
	}
	if _, err := eventlog.ParseBrokers(strings.Join(names, ",")); !fault.Is(err, fault.Invalid) || !strings.Contains(fault.Message(err), "at most 64") {
		t.Errorf("65 brokers: got %v", err)
	}
}
