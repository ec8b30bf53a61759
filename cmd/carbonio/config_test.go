package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/admin/admintest"
	"mailreplica/internal/fault"
)

func TestDeadEndpointsAreSkipped(t *testing.T) {
	c := start(t, 2)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing, as a stopped process does
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	live := strings.TrimPrefix(c.Mailstores[1].API.URL, "http://")
	write(t, c.config, fmt.Sprintf("token: %s\nendpoints:\n  dead.example.com: 127.0.0.1:1\n  silent.example.com: %s\n  live.example.com: %s\n",
		admintest.AdminToken, silent.Addr(), live), 0o600)
	began := time.Now()
	c.ok("prov getAllServers")
	if took := time.Since(began); took > 2*probeWaits()[0] {
		t.Errorf("it took %s", took)
	}
	c.ok("--host LIVE.example.com prov getAllServers")
	c.ok("--host " + live + " prov getAllServers")
	c.fails("--host dead.example.com prov getAllServers", "no mailstore answers: tried dead.example.com at 127.0.0.1:1")
}

func TestConfigurations(t *testing.T) {
	c := start(t, 1)
	good := "token: " + admintest.AdminToken + "\nendpoints:\n  m: 127.0.0.1:7071\n"
	for _, test := range []struct {
		name, text, want string
		mode             os.FileMode
	}{
		{"readable by others", good, "can be read by others", 0o644},
		{"readable by the group", good, "can be read by others", 0o640},
		{"no token", "endpoints:\n  m: 127.0.0.1:7071\n", "token is missing", 0o600},
		{"token with a blank", "token: a b\nendpoints:\n  m: 127.0.0.1:7071\n", "token holds a blank", 0o600},
		{"no endpoints", "token: x\n", "endpoints is missing", 0o600},
		{"empty endpoints", "token: x\nendpoints: {}\n", "endpoints is missing", 0o600},
		{"endpoints that are a list", "token: x\nendpoints: [a, b]\n", "endpoints is missing", 0o600},
		{"endpoint without a port", "token: x\nendpoints:\n  m: mbox1\n", "line 3: the endpoint m", 0o600},
		{"misspelt key", good + "tokens: y\n", "tokens", 0o600},
		{"two documents", good + "---\n" + good, "more than one document", 0o600},
		{"two endpoints of one name", good + "  M: 127.0.0.1:7072\n", "line 4: two endpoints are named M", 0o600},
		{"more than 1 MiB", good + strings.Repeat("#", configBytesMax), "has more than 1048576 bytes", 0o600},
		{"more than 1,000 endpoints", good + manyEndpoints(endpointsMax), "names more than 1000 mailstores", 0o600},
		{"no YAML", "token: [", "carbonio.yaml", 0o600},
		{"empty", "", "token is missing", 0o600},
		{"certificate that is none", good + "ca: nothing.pem\n", "nothing.pem", 0o600},
		{"wrong token", strings.Replace(good, "127.0.0.1:7071", strings.TrimPrefix(c.Mailstores[0].API.URL, "http://"), 1) + "", "", 0o600},
	} {
		t.Run(test.name, func(t *testing.T) {
			one := *c
			one.t = t
			text := test.text
			if test.want == "" {
				text, test.want = strings.Replace(text, admintest.AdminToken, "another", 1), "token is missing, or it is not the one"
			}
			write(t, c.config, text, test.mode)
			one.fails("prov getAllServers", test.want)
		})
	}
	c.config += ".none"
	c.fails("prov getAllServers", "is not there")
}

func manyEndpoints(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  m%d: 127.0.0.1:7071\n", i)
	}
	return b.String()
}

// FuzzParseConfig reads anything. What is taken has a token, and endpoints that can be dialled, no two of one name.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("token: abc\nca: x.pem\nendpoints:\n  m: 127.0.0.1:7071\n  n: \"[::1]:1\"\n"))
	f.Add([]byte("token: &t a\nendpoints: {a: *t, ? [b] : c, <<: {d: e}}\n"))
	f.Add([]byte("token: \"a\\n\"\nendpoints: [a]\n---\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseConfig(text)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || strings.ContainsAny(fault.Message(err), "\r\n") {
				t.Errorf("%q: got %v", text, err)
			}
			return
		}
		names := map[string]bool{}
		for _, e := range c.endpoints {
			if names[e.name] || e.address == "" {
				t.Errorf("%q: got %+v", text, c)
			}
			names[e.name] = true
		}
		if c.token == "" || len(c.endpoints) == 0 {
			t.Errorf("%q: got %+v", text, c)
		}
	})
}
