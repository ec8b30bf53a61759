package profile_test

import (
	"io"
	"log/slog"
	"net/http"
	"testing"

	"mailreplica/internal/engine/enginetest"
	"mailreplica/internal/fault"
	"mailreplica/internal/profile"
)

func TestServe(t *testing.T) {
	address := enginetest.FreeAddress(t, enginetest.Loopback)
	stop, err := profile.Serve(address, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"heap", "allocs", "goroutine", "block", "mutex", "symbol"} {
		response, err := http.Get("http://" + address + "/debug/pprof/" + path)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || len(content) == 0 {
			t.Errorf("%s: status %d, %d bytes, %v", path, response.StatusCode, len(content), err)
		}
	}
	if _, err := profile.Serve(address, slog.New(slog.DiscardHandler)); !fault.Is(err, fault.Invalid) {
		t.Errorf("the same address again: got %v, want kind %v", err, fault.Invalid)
	}
	stop()
	if response, err := http.Get("http://" + address + "/debug/pprof/heap"); err == nil {
		response.Body.Close()
		t.Error("profiles are answered after stop")
	}
}

func TestServeOnLoopbackOnly(t *testing.T) {
	for _, address := range []string{"0.0.0.0:6060", ":6060", "[::]:6060", "192.0.2.1:6060", "localhost:6060", "127.0.0.1"} {
		if _, err := profile.Serve(address, slog.New(slog.DiscardHandler)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v, want kind %v", address, err, fault.Invalid)
		}
	}
	stop, err := profile.Serve("", nil)
	if err != nil {
		t.Fatal(err)
	}
	stop()
}
