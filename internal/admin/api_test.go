package admin_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/admin"
	"mailreplica/internal/admin/admintest"
	"mailreplica/internal/fault"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// client talks to the i-th mailstore of a platform, from 1.
func client(t testing.TB, p *admintest.Platform, i int) *admin.Client {
	t.Helper()
	c, err := admin.NewClient(p.Mailstores[i-1].API.URL, admintest.AdminToken, nil)
	must(t, err)
	return c
}

func wantFault(t testing.TB, err error, kind fault.Kind, message string) {
	t.Helper()
	if !fault.Is(err, kind) || !strings.Contains(fault.Message(err), message) {
		t.Errorf("got %v (%v), want %v with %q", err, fault.KindOf(err), kind, message)
	}
	if fault.HintOf(err) == "" {
		t.Errorf("%v has no hint", err)
	}
}

func TestOnlyTheAdminTokenIsHeard(t *testing.T) {
	p := admintest.Start(t, 1)
	for _, token := range []string{"", "wrong", admintest.AdminToken + "x", admintest.AdminToken[1:]} {
		c, err := admin.NewClient(p.Mailstores[0].API.URL, token, nil)
		must(t, err)
		_, err = c.Ping(t.Context())
		wantFault(t, err, fault.Denied, "token")
	}
	pong, err := client(t, p, 1).Ping(t.Context())
	must(t, err)
	if pong.Mailstore != admintest.Name(1) {
		t.Errorf("got %q, want %q", pong.Mailstore, admintest.Name(1))
	}
}

// Who has no token cannot keep a connection by never ending a request.
func TestStrangersKeepNoConnection(t *testing.T) {
	p := admintest.Start(t, 1)
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.Mailstores[0].API.URL, "http://"))
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(conn, "POST /v1/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	must(t, err)
	answer, err := io.ReadAll(conn) // until the server closes it
	must(t, err)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 401 ") {
		t.Errorf("got %q", answer)
	}
}

func TestRequestsThatCannotBeRead(t *testing.T) {
	p := admintest.Start(t, 1)
	for _, test := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"unknown command", "POST", "/v1/formatDisk", "{}", http.StatusNotFound},
		{"another version", "POST", "/v2/ping", "{}", http.StatusNotFound},
		{"another method", "GET", "/v1/ping", "", http.StatusNotFound},
		{"no JSON", "POST", "/v1/promoteAccounts", "all", http.StatusBadRequest},
		{"two requests", "POST", "/v1/promoteAccounts", `{"all":false}{"all":true}`, http.StatusBadRequest},
		{"a misspelt field", "POST", "/v1/promoteAccounts", `{"alll":true}`, http.StatusBadRequest},
		{"no value", "POST", "/v1/setConfig", `{"name":"brokers"}`, http.StatusBadRequest},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), test.method, p.Mailstores[0].API.URL+test.path, strings.NewReader(test.body))
			must(t, err)
			r.Header.Set("Authorization", "Bearer "+admintest.AdminToken)
			answer, err := http.DefaultClient.Do(r)
			must(t, err)
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			must(t, err)
			if answer.StatusCode != test.status || !strings.Contains(string(body), `"hint"`) {
				t.Errorf("got %d %s, want %d with a hint", answer.StatusCode, body, test.status)
			}
		})
	}
}

func TestClientTellsWhoDoesNotAnswer(t *testing.T) {
	p := admintest.Start(t, 1)
	c := client(t, p, 1)
	p.Mailstores[0].Kill()
	_, err := c.GetAllServers(t.Context())
	wantFault(t, err, fault.HomeUnreachable, "does not answer")

	for _, endpoint := range []string{"", "mbox1", "mbox1:", ":7071", "ftp://mbox1:21", "http://mbox1:1/path"} {
		if _, err := admin.NewClient(endpoint, "token", nil); !fault.Is(err, fault.Invalid) {
			t.Errorf("endpoint %q: got %v, want Invalid", endpoint, err)
		}
	}
}
