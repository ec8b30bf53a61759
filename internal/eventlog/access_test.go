package eventlog_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
)

// Who is not let in is told why, at once, and without the password.
func TestRefusedConnection(t *testing.T) {
	w := kafkaWorld(t)
	const wrong = "open sesame"
	tests := []struct {
		name   string
		change func(*eventlog.Config)
		says   string
	}{
		{"password", func(c *eventlog.Config) { c.SASL.Password = wrong }, "user name and password"},
		{"user", func(c *eventlog.Config) { c.SASL.User, c.SASL.Password = "nobody", wrong }, "user name and password"},
		{"mechanism", func(c *eventlog.Config) { c.SASL.Mechanism, c.SASL.Password = "PLAIN", wrong }, "this kind of authentication"},
		{"no authentication", func(c *eventlog.Config) { c.SASL = eventlog.SASL{} }, "not what they await"},
		{"no TLS", func(c *eventlog.Config) { c.TLS = nil }, "not what they await"},
		{"unknown authority", func(c *eventlog.Config) { c.TLS = &tls.Config{} }, "signed by nobody whom this mailstore trusts"},
		{"another name", func(c *eventlog.Config) {
			c.TLS = &tls.Config{RootCAs: shared.roots, ServerName: "event1.example.com"}
		}, "for another name"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config := w.config
			test.change(&config)
			started := time.Now()
			_, err := eventlog.Open(within(t), config)
			if !fault.Is(err, fault.LogUnavailable) || !errors.Is(err, eventlog.ErrRefused) || !strings.Contains(fault.Message(err), test.says) {
				t.Errorf("got %v, want an error that says %q", err, test.says)
			}
			if took := time.Since(started); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			if err != nil && (strings.Contains(err.Error(), wrong) || strings.Contains(err.Error(), w.config.SASL.Password)) {
				t.Errorf("the password is in %q", err)
			}
			if hint := fault.HintOf(err); !strings.Contains(hint, "log.") && !strings.Contains(hint, "certificates") {
				t.Errorf("got hint %q, want the setting to look at", hint)
			}
			if _, err := eventlog.TestBrokers(within(t), config); !errors.Is(err, eventlog.ErrRefused) {
				t.Errorf("TestBrokers: got %v, want ErrRefused", err)
			}
		})
	}
}

func TestEveryMechanism(t *testing.T) {
	w := kafkaWorld(t)
	for _, mechanism := range []string{"SCRAM-SHA-256", "scram-sha-512"} {
		w.config.SASL.Mechanism = mechanism
		appendAll(t, w.open(t), 0, mechanism)
	}
}

func TestPasswordIsNotPrinted(t *testing.T) {
	c := eventlog.Config{SASL: eventlog.SASL{Mechanism: "PLAIN", User: "john", Password: "open sesame"}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, c); strings.Contains(text, "sesame") || !strings.Contains(text, "john") {
			t.Errorf("%s gives %s, want the user and no password", verb, text)
		}
	}
}
