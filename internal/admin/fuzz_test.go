package admin_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/admin/admintest"
	"mailreplica/internal/fault"
)

// commands of the API with a body that each takes. Those that wait for mailstores are left out: they are as slow as their network.
var commands = []struct{ name, body string }{
	{"ping", `{}`}, {"getConfig", `{"name":"brokers"}`}, {"setConfig", `{"name":"notificationMail","value":"a@x"}`},
	{"createAccount", `{"name":"a@x","password":"p","mailHost":"mbox1.example.com"}`}, {"getAccount", `{"name":"a@x"}`},
	{"modifyAccount", `{"name":"a@x","status":"active"}`}, {"getAllAccounts", `{"domain":"x"}`}, {"createDistributionList", `{"name":"l@x"}`},
	{"getAllServers", `{}`}, {"deleteServer", `{"name":"mbox9.example.com"}`}, {"removeAccountDestination", `{"accounts":["a@x"]}`},
	{"setAccountDestination", `{"destination":"mbox2.example.com","priority":10,"accounts":["a@x"]}`}, {"promoteAccounts", `{"all":false,"accounts":["a@x"]}`},
	{"getAccountStatus", `{"accounts":["a@x"]}`}, {"getAllOperations", `{}`}, {"getOperation", `{"name":"x"}`}, {"getFailures", `{"id":"x"}`},
	{"getNotifications", `{"name":"x"}`}, {"listBuckets", `{"name":"all"}`}, {"doCreateBucket", `{"kind":"S3","bucketName":"b"}`},
	{"doUpdateBucket", `{"id":"x"}`}, {"doDeleteBucket", `{"name":"x"}`}, {"getAllVolumes", `{}`}, {"doCreateVolume", `{"name":"v","type":"primary"}`},
	{"doUpdateVolume", `{"name":"v"}`}, {"doDeleteVolume", `{"name":"v"}`}, {"getBlobReport", `{"name":"../../etc/passwd"}`}, {"formatDisk", `{}`},
}

// FuzzHandler gives anything to every command. It is answered in JSON, and never with a defect.
func FuzzHandler(f *testing.F) {
	for i, c := range commands {
		f.Add(uint8(i), c.body)
	}
	for i, body := range []string{
		"", "null", "[]", "{}{}", `{"name":1e999}`, `{"name":"` + strings.Repeat("x", 5000) + `"}`, strings.Repeat("[", 20_000), `{"accounts":[""],"lines":[1],"file":"f"}`,
		`{"accounts":["a@x"],"lines":[1,2,3],"file":"f"}`, `{"name":"\u0000@x"}`, `{"name":"a@x","password":""}`, `{"priority":-1}`, "\xff",
	} {
		f.Add(uint8(3*i+1), body)
	}
	p := admintest.Start(f, 2)
	handler := p.Mailstores[0].Admin.Handler()
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		command := commands[int(which)%len(commands)]
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/"+command.name, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+admintest.AdminToken)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%s %q: got %d %q", command.name, body, w.Code, w.Body)
		}
		if w.Code == http.StatusOK {
			return
		}
		var failure struct{ Kind, Error string }
		if err := json.Unmarshal(w.Body.Bytes(), &failure); err != nil || failure.Error == "" || w.Code >= http.StatusInternalServerError ||
			failure.Kind == fault.Internal.String() || strings.ContainsAny(failure.Error, "\r\n") || len(failure.Error) > 6*len(body)+1000 {
			t.Fatalf("%s %q: got %d %s", command.name, body, w.Code, w.Body)
		}
	})
}

// TestAccountsOfARequestAtTheirLimit: as many accounts as a list has fit into a request.
func TestAccountsOfARequestAtTheirLimit(t *testing.T) {
	const requestBytesMax = 300 << 20
	longest := len(`"",`) + account.NameBytesMax
	if lines := len("1000000,"); account.ListEntriesMax*(longest+lines) > requestBytesMax {
		t.Errorf("%d accounts take up to %d bytes, a request %d", account.ListEntriesMax, account.ListEntriesMax*(longest+lines), requestBytesMax)
	}
	handler := admintest.Start(t, 1).Mailstores[0].Admin.Handler()
	for size, want := range map[int]int{requestBytesMax: http.StatusBadRequest, requestBytesMax + 1: http.StatusRequestEntityTooLarge} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/ping", &endless{left: size})
		r.Header.Set("Authorization", "Bearer "+admintest.AdminToken)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%d bytes: got %d %s, want %d", size, w.Code, w.Body, want)
		}
	}
}

// endless is blanks, of which JSON may have any number.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	n := min(len(p), e.left)
	for i := range p[:n] {
		p[i] = ' '
	}
	if e.left -= n; n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
