package peer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/listener/listenertest"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/peer"
)

// busy is a mailstore that does as it is asked, and answers with what it was asked for.
type busy struct{ *service }

func (b busy) Fence(_ context.Context, request peer.FenceRequest, tell func(peer.FenceResult)) error {
	for _, a := range request.Accounts {
		tell(peer.FenceResult{Account: a.Account, Epoch: a.Epoch})
	}
	return nil
}

var paths = []string{
	"/v1/status", "/v1/volumes", "/v1/settled", "/v1/references?volume=v", "/v1/locate", "/v1/snapshot?account=x&destination=d", "/v1/fence",
	"/v1/reseed?account=00000000-0000-4000-8000-000000000001", "/v1/nudge", "/v1/service?name=a&do=start", "/v1/other",
}

// FuzzHandler asks anything. An answer is JSON, a refusal says why, and is never a defect.
func FuzzHandler(f *testing.F) {
	id := account.ID{15: 1}.String()
	for i := range paths {
		for _, body := range []string{
			"", "null", "[]", `["` + id + `"]`, `["x"]`, `{"Account":"` + id + `","Contents":[1,2,18446744073709551615]}`, `{"Contents":[-1]}`,
			`{"Operation":"o","AcceptLoss":true,"Accounts":[{"Account":"` + id + `","Epoch":1}]}`, strings.Repeat("[", 20_000), `[1e999]`,
		} {
			f.Add(uint8(i), body)
		}
	}
	handler := peer.Handler(busy{&service{}}, token, logger())
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		r := httptest.NewRequest(http.MethodPost, paths[int(which)%len(paths)], strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		var failure peer.Failure
		switch {
		case w.Code == http.StatusOK, w.Code == http.StatusNotFound:
		case w.Code != http.StatusConflict || json.Unmarshal(w.Body.Bytes(), &failure) != nil || failure.Error == "":
			t.Errorf("%s %q: got %d %q", paths[int(which)%len(paths)], body, w.Code, w.Body)
		case failure.Kind == fault.Internal.String():
			t.Errorf("%s %q: got %+v", paths[int(which)%len(paths)], body, failure)
		}
	})
}

// TestRequestsAtTheirLimits goes to each limit of a request, and one beyond. What a request of the largest size costs is bounded, too.
func TestRequestsAtTheirLimits(t *testing.T) {
	addr, c := start(t, &service{}), peer.NewClient(token, nil)
	ctx := t.Context()
	if _, err := c.Settled(ctx, addr, make([]account.ID, peer.AccountsMax)); err != nil {
		t.Errorf("%d accounts: %v", peer.AccountsMax, err)
	}
	if _, err := c.Locate(ctx, addr, peer.LocateRequest{Contents: make([]mailbox.ItemID, peer.LocateMax)}); err != nil {
		t.Errorf("%d contents: %v", peer.LocateMax, err)
	}
	if err := c.Fence(ctx, addr, peer.FenceRequest{Accounts: make([]peer.FenceAccount, peer.AccountsMax)}, func(peer.FenceResult) {}); err != nil {
		t.Errorf("%d fences: %v", peer.AccountsMax, err)
	}
	const requestBytesMax = 16 << 20
	handler := peer.Handler(&service{}, token, logger())
	for name, test := range map[string]struct {
		path, body string
		kind       fault.Kind
	}{
		"16 MiB":           {"/v1/settled", "[" + strings.Repeat(" ", requestBytesMax-2) + "]", 0},
		"a byte more":      {"/v1/settled", "[" + strings.Repeat(" ", requestBytesMax-1) + "]", fault.Invalid},
		"small contents":   {"/v1/locate", `{"Contents":[` + strings.Repeat("0,", requestBytesMax/2-10) + `0]}`, fault.TooLarge},
		"small fences":     {"/v1/fence", `{"Accounts":[` + strings.Repeat("{},", requestBytesMax/3-10) + `{}]}`, fault.TooLarge},
		"nested":           {"/v1/settled", strings.Repeat("[", requestBytesMax), fault.Invalid},
		"one long text":    {"/v1/settled", `["` + strings.Repeat("x", requestBytesMax-4) + `"]`, fault.Invalid},
		"many small texts": {"/v1/settled", "[" + strings.Repeat(`"",`, requestBytesMax/3-1) + `""]`, fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, test.path, strings.NewReader(test.body))
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			handler.ServeHTTP(w, r)
			runtime.ReadMemStats(&after)
			var failure peer.Failure
			if w.Code != http.StatusOK {
				_ = json.Unmarshal(w.Body.Bytes(), &failure) // its kind is compared
			}
			if fault.ParseKind(failure.Kind) != test.kind && (test.kind != 0 || w.Code != http.StatusOK) {
				t.Errorf("got %d %.200q, want kind %q", w.Code, w.Body, test.kind)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 1<<30 {
				t.Errorf("%d MiB were allocated", got>>20)
			}
		})
	}
}

// FuzzAnswer has a mailstore answer anything to a request for its references: what arrives is whole, or an error.
func FuzzAnswer(f *testing.F) {
	frame := func(kind byte, payload []byte) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(payload))), payload...)
	}
	one := frame('r', make([]byte, 41))
	for _, body := range [][]byte{
		append(bytes.Clone(one), frame('e', []byte{0, 0, 0, 0, 0, 0, 0, 1})...), frame('e', []byte{0, 0, 0, 0, 0, 0, 0, 1}), frame('r', make([]byte, 40)),
		append(frame('a', nil), frame('f', []byte(`{"Kind":"paused","Error":"x"}`))...), frame('f', []byte("{")), {'r', 0xff, 0xff, 0xff, 0xff}, frame('x', nil), nil,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := peer.NewClientOver(func(context.Context, string, string) (net.Conn, error) {
			return listenertest.NewScript(append([]byte("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"), body...)), nil
		}, token, nil)
		count := uint64(0)
		err := c.References(t.Context(), "home:1", "v", func(peer.Reference) error { count++; return nil })
		end := binary.BigEndian.AppendUint64([]byte{'e', 0, 0, 0, 8}, count)
		if err == nil && !bytes.Contains(body, end) {
			t.Errorf("%x: %d references, and no end", body, count)
		}
		if err != nil && fault.Is(err, fault.Internal) && !bytes.Contains(body, []byte(fmt.Sprintf("%q", fault.Internal.String()))) && !bytes.Contains(body, []byte("Kind")) && !bytes.Contains(body, []byte{'f'}) {
			t.Errorf("%x: got %v", body, err)
		}
	})
}

// TestStrangersKeepNoConnection: who has no token is answered at once, and let go of, also in the midst of a request.
func TestStrangersKeepNoConnection(t *testing.T) {
	conn, err := net.Dial("tcp", start(t, &service{}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "POST /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n["); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn) // until the server closes it
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 401 ") {
		t.Errorf("got %q, %v", answer, err)
	}
}
