package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"mailreplica/internal/fault"
)

const (
	requestBytesMax = 300 << 20       // of a request: a list of account.ListEntriesMax accounts fits
	requestWait     = 2 * time.Minute // for its bytes to come
)

// pathPrefix stands before the name of a command.
const pathPrefix = "/v1/"

// Commands of the API. Each takes and gives JSON.
const (
	commandPing              = "ping"
	commandGetConfig         = "getConfig"
	commandSetConfig         = "setConfig"
	commandCreateAccount     = "createAccount"
	commandGetAccount        = "getAccount"
	commandModifyAccount     = "modifyAccount"
	commandDeleteAccount     = "deleteAccount"
	commandGetAllAccounts    = "getAllAccounts"
	commandCreateList        = "createDistributionList"
	commandGetAllServers     = "getAllServers"
	commandDeleteServer      = "deleteServer"
	commandSetDestination    = "setAccountDestination"
	commandRemoveDestination = "removeAccountDestination"
	commandPromote           = "promoteAccounts"
	commandGetAccountStatus  = "getAccountStatus"
	commandPause             = "pauseReplicas"
	commandRestart           = "restartReplicas"
	commandReseed            = "reseed"
	commandTestBrokers       = "test"
	commandGetServices       = "getServices"
	commandSetService        = "setService"
	commandGetAllOperations  = "getAllOperations"
	commandGetOperation      = "getOperation"
	commandGetFailures       = "getFailures"
	commandStopOperation     = "stopOperation"
	commandRemoveOperation   = "removeOperation"
	commandGetNotifications  = "getNotifications"
	commandListBuckets       = "listBuckets"
	commandCreateBucket      = "doCreateBucket"
	commandUpdateBucket      = "doUpdateBucket"
	commandDeleteBucket      = "doDeleteBucket"
	commandTestBucket        = "testS3Connection"
	commandGetAllVolumes     = "getAllVolumes"
	commandCreateVolume      = "doCreateVolume"
	commandCreateCentralized = "doCreateVolumeCentralized"
	commandUpdateVolume      = "doUpdateVolume"
	commandDeleteVolume      = "doDeleteVolume"
	commandCheckBlobs        = "doCheckBlobs"
	commandGetBlobReport     = "getBlobReport"
)

// Pong is the answer to a ping.
type Pong struct {
	Mailstore string `json:"mailstore"`
}

// Named is a request that takes one name or id.
type Named struct {
	Name string `json:"name"`
}

type nothing struct{}

// Handler is the admin API. Only requests that present the token of the role admin are heard.
func (a *Admin) Handler() http.Handler {
	mux := http.NewServeMux()
	register(mux, a, commandPing, func(context.Context, nothing) (Pong, error) { return Pong{a.Self}, nil })
	register(mux, a, commandGetConfig, named(a.GetConfig))
	register(mux, a, commandSetConfig, func(ctx context.Context, in Setting) (Setting, error) {
		if in.Value == nil {
			return Setting{}, fault.New(fault.Invalid, "the value is missing")
		}
		return a.SetConfig(ctx, in.Name, *in.Value)
	})
	register(mux, a, commandCreateAccount, a.CreateAccount)
	register(mux, a, commandGetAccount, named(a.GetAccount))
	register(mux, a, commandModifyAccount, a.ModifyAccount)
	register(mux, a, commandDeleteAccount, named(a.DeleteAccount))
	register(mux, a, commandGetAllAccounts, a.GetAllAccounts)
	register(mux, a, commandCreateList, named(a.CreateList))
	register(mux, a, commandGetAllServers, unnamed(a.GetAllServers))
	register(mux, a, commandDeleteServer, named(func(ctx context.Context, fqdn string) (nothing, error) {
		return nothing{}, a.DeleteServer(ctx, fqdn)
	}))
	register(mux, a, commandSetDestination, a.SetDestination)
	register(mux, a, commandRemoveDestination, a.RemoveDestination)
	register(mux, a, commandPromote, a.Promote)
	register(mux, a, commandGetAccountStatus, a.GetAccountStatus)
	register(mux, a, commandPause, a.Pause)
	register(mux, a, commandRestart, a.Restart)
	register(mux, a, commandReseed, a.Reseed)
	register(mux, a, commandTestBrokers, a.TestBrokers)
	register(mux, a, commandGetServices, unnamed(a.GetServices))
	register(mux, a, commandSetService, a.SetService)
	register(mux, a, commandGetAllOperations, unnamed(a.GetAllOperations))
	register(mux, a, commandGetOperation, named(a.GetOperation))
	register(mux, a, commandGetFailures, a.GetFailures)
	register(mux, a, commandStopOperation, named(a.StopOperation))
	register(mux, a, commandRemoveOperation, named(a.RemoveOperation))
	register(mux, a, commandGetNotifications, named(a.GetNotifications))
	a.registerStorage(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, fault.New(fault.NotFound, "the admin API has no %s %.100q", r.Method, r.URL.Path).
			WithHint("use the carbonio of the same version as the mailstore"))
	})
	return Guard(mux, "the token is missing, or it is not the one of the role admin", "put the mailstore's admin token into carbonio's configuration", a.Token)
}

// registerStorage makes the commands for buckets and volumes part of the API.
func (a *Admin) registerStorage(mux *http.ServeMux) {
	register(mux, a, commandListBuckets, named(a.ListBuckets))
	register(mux, a, commandCreateBucket, a.CreateBucket)
	register(mux, a, commandUpdateBucket, a.UpdateBucket)
	register(mux, a, commandDeleteBucket, named(func(ctx context.Context, id string) (nothing, error) {
		return nothing{}, a.DeleteBucket(ctx, id)
	}))
	register(mux, a, commandTestBucket, a.TestBucket)
	register(mux, a, commandGetAllVolumes, unnamed(a.GetAllVolumes))
	register(mux, a, commandCreateVolume, a.CreateVolume)
	register(mux, a, commandCreateCentralized, a.CreateCentralized)
	register(mux, a, commandUpdateVolume, a.UpdateVolume)
	register(mux, a, commandCheckBlobs, a.CheckBlobs)
	register(mux, a, commandGetBlobReport, named(a.GetBlobReport))
	register(mux, a, commandDeleteVolume, named(func(ctx context.Context, name string) (nothing, error) {
		return nothing{}, a.DeleteVolume(ctx, name)
	}))
}

func named[Out any](f func(context.Context, string) (Out, error)) func(context.Context, Named) (Out, error) {
	return func(ctx context.Context, in Named) (Out, error) { return f(ctx, in.Name) }
}

func unnamed[Out any](f func(context.Context) (Out, error)) func(context.Context, nothing) (Out, error) {
	return func(ctx context.Context, _ nothing) (Out, error) { return f(ctx) }
}

// Guard lets only holders of a token pass; an empty one is nobody's. All others are told refusal, with a hint. Digests are compared,
// so that not even the length of a token shows.
func Guard(next http.Handler, refusal, hint string, tokens ...string) http.Handler {
	var want [][sha256.Size]byte
	for _, token := range tokens {
		if token != "" {
			want = append(want, sha256.Sum256([]byte(token)))
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got, holds := sha256.Sum256([]byte(token)), 0
		for _, digest := range want {
			holds |= subtle.ConstantTimeCompare(got[:], digest[:])
		}
		if !bearer || holds != 1 {
			// The server would read on, as slowly as a stranger likes, to use the connection again.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // a recorder of a test has none
			w.Header().Set("Connection", "close")
			fail(w, http.StatusUnauthorized, fault.New(fault.Denied, "%s", refusal).WithHint("%s", hint))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, requestBytesMax)
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(requestWait))
		next.ServeHTTP(w, r)
	})
}

// register makes a method a command of the API.
func register[In, Out any](mux *http.ServeMux, a *Admin, command string, f func(context.Context, In) (Out, error)) {
	mux.HandleFunc("POST "+pathPrefix+command, func(w http.ResponseWriter, r *http.Request) {
		var in In
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields() // a misspelt field must not mean "all"
		err := decoder.Decode(&in)
		if err == nil && decoder.More() {
			err = errors.New("more follows the request")
		}
		if err != nil {
			a.answer(w, command, nil, unreadable(err))
			return
		}
		// From here on the server reads only to see that the client has gone; a deadline would look like that.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		out, err := f(r.Context(), in)
		a.answer(w, command, out, err)
	})
}

func unreadable(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return fault.Wrap(fault.TooLarge, err, "the request has more than %d bytes", tooLarge.Limit)
	}
	return fault.Wrap(fault.Invalid, err, "the request cannot be read").
		WithHint("use the carbonio of the same version as the mailstore")
}

// failure is the body of every answer that is not 200.
type failure struct {
	Kind  string `json:"kind"` // of fault
	Error string `json:"error"`
	Hint  string `json:"hint"`
}

func (a *Admin) answer(w http.ResponseWriter, command string, out any, err error) {
	if err != nil {
		level := slog.LevelWarn
		switch fault.KindOf(err) {
		case fault.Invalid, fault.NotFound, fault.Exists: // a mistake of who gave it, who has been told
			level = slog.LevelInfo
		}
		a.Logger.Log(context.Background(), level, "a command of an administrator failed", "command", command, "error", err)
		fail(w, statusOf(err), err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // the client has gone
}

func statusOf(err error) int {
	switch fault.KindOf(err) {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.NotFound:
		return http.StatusNotFound
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.Internal:
		return http.StatusInternalServerError
	}
	return http.StatusConflict
}

func fail(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(failure{Kind: fault.KindOf(err).String(), Error: fault.Message(err), Hint: fault.HintOf(err)})
}
