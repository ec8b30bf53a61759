// Package profile answers Go's profiles of this process over HTTP, to who sits at the machine: it listens on loopback addresses
// only. It owns that listener and knows nothing of what the process does.
package profile

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"mailreplica/internal/fault"
)

// Of the profiles that cost something while they are taken.
const (
	blockRateNs   = 10_000 // one sample for so many nanoseconds of waiting
	mutexFraction = 10     // one of so many contended locks
)

const headerReadWait = 10 * time.Second

// Serve answers profiles on a loopback address, IP:port, below /debug/pprof/, until stop is called. An empty address is none.
func Serve(address string, logger *slog.Logger) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().IsLoopback() {
		return nil, fault.New(fault.Invalid, "profiles are answered on loopback addresses only; %q is none (IP:port)", address).
			WithHint("profiles show what the process holds in memory: give it an address like 127.0.0.1:6060")
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "cannot listen on %s for profiles", address).
			WithHint("another process has the address, or the machine has not")
	}
	server := &http.Server{Handler: handler(), ReadHeaderTimeout: headerReadWait}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("profiles are answered no more", "error", err)
		}
	}()
	return func() {
		_ = server.Close() // a profile under way is cut
		<-ended
	}, nil
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	for _, name := range []string{"block", "mutex"} {
		mux.HandleFunc("/debug/pprof/"+name, sampled)
	}
	return mux
}

// sampled has what nobody pays for otherwise recorded while it is asked for (…?seconds=N). Two at once end it early for each other.
func sampled(w http.ResponseWriter, r *http.Request) {
	runtime.SetBlockProfileRate(blockRateNs)
	runtime.SetMutexProfileFraction(mutexFraction)
	defer runtime.SetBlockProfileRate(0)
	defer runtime.SetMutexProfileFraction(0)
	pprof.Handler(strings.TrimPrefix(r.URL.Path, "/debug/pprof/")).ServeHTTP(w, r)
}
