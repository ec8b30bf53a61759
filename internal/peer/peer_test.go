package peer_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/peer"
)

const token = "0123456789abcdef"

// service is a mailstore that answers what a test says.
type service struct {
	status   peer.Status
	err      error
	snapshot func(io.Writer) error
	results  []peer.FenceResult
	asked    []string

	references []peer.Reference
}

func (s *service) Status(context.Context, []account.ID) (peer.Status, error) { return s.status, s.err }

func (s *service) Volumes(_ context.Context, ids []account.ID) ([]peer.ContentVolumes, error) {
	var all []peer.ContentVolumes
	for _, id := range ids {
		all = append(all, peer.ContentVolumes{Account: id, Volumes: []string{"blobs", "own"}})
	}
	return all, s.err
}

func (s *service) Settled(context.Context, []account.ID) ([]peer.CopyStatus, error) {
	return s.status.Copies, s.err
}

func (s *service) References(_ context.Context, volume string, alive func() error, yield func(peer.Reference) error) error {
	if err := alive(); err != nil {
		return err
	}
	s.asked = append(s.asked, "references "+volume)
	for _, r := range s.references {
		if err := yield(r); err != nil {
			return err
		}
	}
	return s.err
}

func (s *service) Locate(_ context.Context, id account.ID, contents []mailbox.ItemID) ([]peer.Location, error) {
	var found []peer.Location
	for _, c := range contents {
		found = append(found, peer.Location{Content: c, Folder: id.String(), UID: mailbox.UID(c)})
	}
	return found, s.err
}

func (s *service) Give(_ context.Context, id account.ID, destination string, w io.Writer) error {
	s.asked = append(s.asked, "give "+id.String()+" "+destination)
	return s.snapshot(w)
}

func (s *service) Fence(_ context.Context, request peer.FenceRequest, tell func(peer.FenceResult)) error {
	for _, r := range s.results {
		tell(r)
	}
	return s.err
}

func (s *service) Reseed(_ context.Context, id account.ID) error {
	s.asked = append(s.asked, "reseed "+id.String())
	return s.err
}

func (s *service) Nudge(context.Context) error { return s.err }

func (s *service) SetService(_ context.Context, name string, run bool) error {
	s.asked = append(s.asked, map[bool]string{true: "start ", false: "stop "}[run]+name)
	return s.err
}

func start(t *testing.T, s *service) (addr string) {
	t.Helper()
	server := httptest.NewServer(peer.Handler(s, token, slog.New(slog.DiscardHandler)))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestAnswersKeepTheirKind(t *testing.T) {
	s := &service{err: fault.Wrap(fault.Paused, errors.New("a cause that nobody is told"), "the account is paused").WithHint("wait")}
	addr := start(t, s)
	_, err := peer.NewClient(token, nil).Status(t.Context(), addr, nil)
	if !fault.Is(err, fault.Paused) || fault.Message(err) != "the account is paused" || fault.HintOf(err) != "wait" {
		t.Errorf("got %v (%s; %s), want kind %q with its message and hint alone", err, fault.KindOf(err), fault.HintOf(err), fault.Paused)
	}
}

func TestVolumes(t *testing.T) {
	id := account.NewID()
	addr := start(t, &service{})
	got, err := peer.NewClient(token, nil).Volumes(t.Context(), addr, []account.ID{id})
	if err != nil || len(got) != 1 || got[0].Account != id || strings.Join(got[0].Volumes, " ") != "blobs own" {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = peer.NewClient(token, nil).Volumes(t.Context(), addr, make([]account.ID, peer.AccountsMax+1))
	if !fault.Is(err, fault.TooLarge) {
		t.Errorf("got %v, want kind %q", err, fault.TooLarge)
	}
}

func TestOnlyTheTokenIsHeard(t *testing.T) {
	for _, presented := range []string{"", "0123456789abcdeF", token + "x"} {
		s := &service{}
		err := peer.NewClient(presented, nil).SetService(t.Context(), start(t, s), "agent", false)
		if !fault.Is(err, fault.Denied) || len(s.asked) != 0 {
			t.Errorf("token %q: %v, asked %v; want kind %q and nothing done", presented, err, s.asked, fault.Denied)
		}
	}
}

func TestAMailstoreWithoutATokenHearsNobody(t *testing.T) {
	server := httptest.NewServer(peer.Handler(&service{}, "", slog.New(slog.DiscardHandler)))
	defer server.Close()
	if err := peer.NewClient("", nil).Nudge(t.Context(), strings.TrimPrefix(server.URL, "http://")); !fault.Is(err, fault.Denied) {
		t.Errorf("got %v, want kind %q", err, fault.Denied)
	}
}

func TestNobodyThere(t *testing.T) {
	server := httptest.NewServer(nil)
	addr := strings.TrimPrefix(server.URL, "http://")
	server.Close()
	if err := peer.NewClient(token, nil).Nudge(t.Context(), addr); !fault.Is(err, fault.HomeUnreachable) {
		t.Errorf("got %v, want kind %q", err, fault.HomeUnreachable)
	}
}

func TestSnapshot(t *testing.T) {
	id := account.NewID()
	body := strings.Repeat("rows ", 100_000)
	s := &service{snapshot: func(w io.Writer) error {
		_, err := io.WriteString(w, body)
		return err
	}}
	stream, err := peer.NewClient(token, nil).Snapshot(t.Context(), start(t, s), id, "mbox2.example.com")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	got, err := io.ReadAll(stream)
	if err != nil || string(got) != body {
		t.Errorf("read %d bytes, %v; want %d", len(got), err, len(body))
	}
	if len(s.asked) != 1 || s.asked[0] != "give "+id.String()+" mbox2.example.com" {
		t.Errorf("asked %q", s.asked)
	}
}

// TestSnapshotThatBreaksOff fails after a part of the stream: the reader must not take what it has for the whole.
func TestSnapshotThatBreaksOff(t *testing.T) {
	s := &service{snapshot: func(w io.Writer) error {
		if _, err := io.WriteString(w, strings.Repeat("x", 1<<20)); err != nil {
			return err
		}
		return fault.New(fault.Paused, "paused midway")
	}}
	stream, err := peer.NewClient(token, nil).Snapshot(t.Context(), start(t, s), account.NewID(), "b")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if n, err := io.Copy(io.Discard, stream); err == nil {
		t.Errorf("a snapshot that broke off ended well after %d bytes", n)
	}
}

func TestSnapshotThatIsRefused(t *testing.T) {
	s := &service{snapshot: func(io.Writer) error { return fault.New(fault.NotHome, "elsewhere") }}
	_, err := peer.NewClient(token, nil).Snapshot(t.Context(), start(t, s), account.NewID(), "b")
	if !fault.Is(err, fault.NotHome) {
		t.Errorf("got %v, want kind %q", err, fault.NotHome)
	}
}

func TestFenceTellsOfEachAccount(t *testing.T) {
	one, two := account.NewID(), account.NewID()
	s := &service{results: []peer.FenceResult{
		{Account: one, Epoch: 3}, {Account: two, Epoch: 4, Kind: fault.Paused.String(), Error: "paused"},
	}}
	var got []peer.FenceResult
	err := peer.NewClient(token, nil).Fence(t.Context(), start(t, s), peer.FenceRequest{}, func(r peer.FenceResult) { got = append(got, r) })
	if err != nil || len(got) != 2 || got[0] != s.results[0] || got[1] != s.results[1] {
		t.Errorf("got %+v, %v; want %+v", got, err, s.results)
	}
}

func TestFenceOfTooMany(t *testing.T) {
	request := peer.FenceRequest{Accounts: make([]peer.FenceAccount, peer.AccountsMax+1)}
	err := peer.NewClient(token, nil).Fence(t.Context(), start(t, &service{}), request, func(peer.FenceResult) {})
	if !fault.Is(err, fault.TooLarge) {
		t.Errorf("got %v, want kind %q", err, fault.TooLarge)
	}
}
