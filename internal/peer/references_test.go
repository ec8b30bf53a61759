package peer_test

import (
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/peer"
)

func someReferences(n int) []peer.Reference {
	refs := make([]peer.Reference, n)
	for i := range refs {
		refs[i] = peer.Reference{Account: account.NewID(), Content: mailbox.ItemID(i), Discarded: i%3 == 0}
		binary.BigEndian.PutUint64(refs[i].Blob[8:], uint64(i))
	}
	return refs
}

func collect(t *testing.T, addr string) (got []peer.Reference, err error) {
	t.Helper()
	err = peer.NewClient(token, nil).References(t.Context(), addr, "blobs", func(r peer.Reference) error {
		got = append(got, r)
		return nil
	})
	return got, err
}

func TestReferences(t *testing.T) {
	for _, n := range []int{0, 1, 1_499, 1_500, 1_501, 10_000} {
		want := someReferences(n)
		s := &service{references: want}
		got, err := collect(t, start(t, s))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d references: got %d, %v", n, len(got), err)
		}
		if !slices.Equal(s.asked, []string{"references blobs"}) {
			t.Errorf("asked %q", s.asked)
		}
	}
}

// A stream that fails half way is never taken for a whole one, and says why.
func TestReferencesFail(t *testing.T) {
	s := &service{references: someReferences(2_000), err: fault.New(fault.NotReady, "still reading").WithHint("wait")}
	if _, err := collect(t, start(t, s)); !fault.Is(err, fault.NotReady) || fault.HintOf(err) != "wait" {
		t.Errorf("got %v, want the mailstore's reason", err)
	}
	whole := &strings.Builder{}
	recorder := httptest.NewServer(peer.Handler(&service{references: someReferences(2_000)}, token, logger()))
	defer recorder.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, recorder.URL+"/v1/references?volume=blobs", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(whole, answer.Body); err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{0, 3, 5, 40_000, whole.Len() - 13, whole.Len() - 1} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, whole.String()[:cut])
		}))
		_, err := collect(t, strings.TrimPrefix(server.URL, "http://"))
		if !fault.Is(err, fault.HomeUnreachable) {
			t.Errorf("cut off after %d of %d bytes: got %v", cut, whole.Len(), err)
		}
		server.Close()
	}
	stop := errors.New("enough")
	err = peer.NewClient(token, nil).References(t.Context(), start(t, &service{references: someReferences(9)}), "blobs",
		func(peer.Reference) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("got %v, want the caller's own error", err)
	}
}

func TestLocateAndSettled(t *testing.T) {
	id := account.NewID()
	s := &service{status: peer.Status{Copies: []peer.CopyStatus{{Account: id, Sequence: 7}}}}
	addr, c := start(t, s), peer.NewClient(token, nil)
	found, err := c.Locate(t.Context(), addr, peer.LocateRequest{Account: id, Contents: []mailbox.ItemID{3, 4}})
	want := []peer.Location{{Content: 3, Folder: id.String(), UID: 3}, {Content: 4, Folder: id.String(), UID: 4}}
	if err != nil || !slices.Equal(found, want) {
		t.Errorf("got %+v, %v", found, err)
	}
	copies, err := c.Settled(t.Context(), addr, []account.ID{id})
	if err != nil || len(copies) != 1 || copies[0].Sequence != 7 {
		t.Errorf("got %+v, %v", copies, err)
	}
	if _, err := c.Locate(t.Context(), addr, peer.LocateRequest{Contents: make([]mailbox.ItemID, peer.LocateMax+1)}); !fault.Is(err, fault.TooLarge) {
		t.Errorf("too many contents: got %v", err)
	}
	if _, err := c.Settled(t.Context(), addr, make([]account.ID, peer.AccountsMax+1)); !fault.Is(err, fault.TooLarge) {
		t.Errorf("too many accounts: got %v", err)
	}
}

func logger() *slog.Logger { return slog.New(slog.DiscardHandler) }
