package peer

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
)

// Failure is the body of every answer that is not 200.
type Failure struct {
	Kind  string // of fault
	Error string
	Hint  string
}

// Handler answers the other mailstores. Only requests that present the token are heard.
func Handler(service Service, token string, logger *slog.Logger) http.Handler {
	s := &server{service: service, logger: logger}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/status", s.status)
	mux.HandleFunc("POST /v1/volumes", s.volumes)
	mux.HandleFunc("POST /v1/settled", s.settled)
	mux.HandleFunc("POST /v1/references", s.references)
	mux.HandleFunc("POST /v1/locate", s.locate)
	mux.HandleFunc("POST /v1/snapshot", s.snapshot)
	mux.HandleFunc("POST /v1/fence", s.fence)
	mux.HandleFunc("POST /v1/reseed", s.reseed)
	mux.HandleFunc("POST /v1/nudge", s.nudge)
	mux.HandleFunc("POST /v1/service", s.setService)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want := "Bearer " + token
		if token == "" || subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte(want)) != 1 {
			// The server would read on, as slowly as a stranger likes, to use the connection again.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // a recorder of a test has none
			w.Header().Set("Connection", "close")
			fail(w, http.StatusUnauthorized, fault.New(fault.Denied, "the peer token is missing or wrong"))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, requestBytesMax)
		mux.ServeHTTP(w, r)
	})
}

type server struct {
	service Service
	logger  *slog.Logger
}

func fail(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(Failure{Kind: fault.KindOf(err).String(), Error: fault.Message(err), Hint: fault.HintOf(err)}) // the peer has gone
}

func (s *server) answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		s.logger.Warn("a peer's request failed", "error", err)
		fail(w, http.StatusConflict, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the peer has gone
}

// requestWait is how long the bytes of a request may take.
const requestWait = time.Minute

func read(w http.ResponseWriter, r *http.Request, v any) error {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(requestWait))    // a recorder of a test has none
	defer func() { _ = control.SetReadDeadline(time.Time{}) }() // from here on reads only tell that the peer has gone
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		return fault.Wrap(fault.Invalid, err, "the request cannot be read")
	}
	return nil
}

func (s *server) status(w http.ResponseWriter, r *http.Request) {
	ids, err := accounts(w, r)
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	status, err := s.service.Status(r.Context(), ids)
	s.answer(w, status, err)
}

func (s *server) volumes(w http.ResponseWriter, r *http.Request) {
	ids, err := accounts(w, r)
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	all, err := s.service.Volumes(r.Context(), ids)
	s.answer(w, all, err)
}

// accounts reads the accounts that a question is about.
func accounts(w http.ResponseWriter, r *http.Request) ([]account.ID, error) {
	var ids []account.ID
	if err := read(w, r, &ids); err != nil {
		return nil, err
	}
	if len(ids) > AccountsMax {
		return nil, fault.New(fault.TooLarge, "%d accounts in one request; the limit is %d", len(ids), AccountsMax)
	}
	return ids, nil
}

// snapshot streams. A failure after the first byte ends the connection without an end of the stream, so that the reader
// notices; one before it is an answer.
func (s *server) snapshot(w http.ResponseWriter, r *http.Request) {
	id, err := account.ParseID(r.URL.Query().Get("account"))
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	destination := r.URL.Query().Get("destination")
	out := &counting{w: w, control: http.NewResponseController(w)}
	err = s.service.Give(r.Context(), id, destination, out)
	_ = out.control.SetWriteDeadline(noDeadline) // the connection may carry other requests; one without deadlines is as well
	switch {
	case err != nil && out.n == 0:
		s.answer(w, nil, err)
	case err != nil:
		s.logger.Warn("a snapshot broke off", "account", id, "destination", destination, "error", err)
		panic(http.ErrAbortHandler)
	}
}

// noDeadline takes a deadline back. It is never altered.
var noDeadline time.Time

// counting bounds how long a reader may take nothing: a snapshot holds the database as it was when it began, and the
// write-ahead log grows for as long. A mailstore that is stopped keeps its connections.
type counting struct {
	w       io.Writer
	control *http.ResponseController
	n       int64
}

func (c *counting) Write(p []byte) (int, error) {
	if err := c.control.SetWriteDeadline(time.Now().Add(streamIdleMax)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// fence streams one line an account, as each is decided.
func (s *server) fence(w http.ResponseWriter, r *http.Request) {
	var request FenceRequest
	err := read(w, r, &request)
	if err == nil && len(request.Accounts) > AccountsMax {
		err = fault.New(fault.TooLarge, "%d accounts in one request; the limit is %d", len(request.Accounts), AccountsMax)
	}
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	lines := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	told := 0
	err = s.service.Fence(r.Context(), request, func(result FenceResult) {
		told++
		err := errors.Join(lines.Encode(result), flush.Flush())
		if err != nil {
			s.logger.Warn("the result of a fence could not be told", "account", result.Account, "error", err)
		}
	})
	if err != nil && told == 0 {
		s.answer(w, nil, err)
	}
}

func (s *server) reseed(w http.ResponseWriter, r *http.Request) {
	id, err := account.ParseID(r.URL.Query().Get("account"))
	if err == nil {
		err = s.service.Reseed(r.Context(), id)
	}
	s.answer(w, struct{}{}, err)
}

func (s *server) nudge(w http.ResponseWriter, r *http.Request) {
	s.answer(w, struct{}{}, s.service.Nudge(r.Context()))
}

func (s *server) setService(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.answer(w, struct{}{}, s.service.SetService(r.Context(), q.Get("name"), q.Get("do") == "start"))
}
