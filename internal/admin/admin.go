// Package admin owns what an administrator can do, for the command line and the console alike: the commands, the checks
// that each makes before it changes anything, the stored operations that carry the long ones out, the notifications
// at their end, and the HTTP API with its client.
//
// Any mailstore does everything. A command writes wishes to the directory, lets this mailstore and those concerned look at
// once, and where the log has the last word, an operation waits for it. The package must not know a mailbox, a stream or
// a protocol: what a copy is like is asked over the peer API. The HTTP layer only carries requests and answers.
package admin

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/complaint"
	"mailreplica/internal/directory"
	"mailreplica/internal/eventlog"
	"mailreplica/internal/operation"
	"mailreplica/internal/peer"
)

// Types of the stored operations.
const (
	OperationSetDestination    = "setAccountDestination"
	OperationRemoveDestination = "removeAccountDestination"
	OperationPromote           = "promoteAccounts" // its Runner is promotion's
	OperationPause             = "pauseReplicas"
	OperationRestart           = "restartReplicas"
	OperationDelete            = "deleteAccount"
	OperationReseed            = "reseed"
	OperationCheckBlobs        = "doCheckBlobs"
)

// SettingBrokers is the global setting that names the brokers of the event log.
const SettingBrokers = "brokers"

// LogStatus is what this mailstore knows of the event log.
type LogStatus struct {
	Reachable bool              // the brokers answer
	Identity  eventlog.Identity // of the log in use; zero: not known
}

// Reseeder makes the copy of a mailstore the primary by decree (design section 5).
type Reseeder interface {
	Reseed(ctx context.Context, fqdn string, id account.ID) error
}

// Config is what an Admin works with.
type Config struct {
	Self       string // FQDN of this mailstore
	Token      string // of the role admin
	Directory  *directory.Directory
	Follower   *directory.Follower // of the same directory
	Peers      *peer.Client
	Operations *operation.Manager // runs what Runners gives, and promotions; Runners does not need it
	Reseeder   Reseeder

	LogStatus func() LogStatus
	LogConfig func(brokers []string) eventlog.Config // how this mailstore would use brokers
	Volumes   Volumes                                // this mailstore's way to them

	// Deliver hands a message to the mailbox of a local address, or to whoever relays it. Nil: no mail is sent.
	Deliver func(ctx context.Context, to string, message []byte) error

	Blobs   BlobChecker // looks for blobs of this mailstore's volumes that nothing refers to
	Reports string      // folder that reports of such checks are kept in

	Logger *slog.Logger
	Pace   Pace
}

// Pace holds the waits of operations. A zero field takes its default.
type Pace struct {
	Look     time.Duration // between looks at what an operation waits for; 100 ms
	Ask      time.Duration // between questions to the mailstores concerned; 1 s
	Patience time.Duration // with a mailstore or a log that does not answer, before an item fails; 10 s
}

func (p Pace) withDefaults() Pace {
	for _, d := range []struct {
		value   *time.Duration
		instead time.Duration
	}{{&p.Look, 100 * time.Millisecond}, {&p.Ask, time.Second}, {&p.Patience, 10 * time.Second}} {
		if *d.value <= 0 {
			*d.value = d.instead
		}
	}
	return p
}

// Admin carries out the commands. Every method may be called at once by many goroutines; every error carries a kind.
type Admin struct {
	Config
	copy     *directory.Copy
	reach    Reach
	silences silences
}

// NewAdmin makes an Admin. It starts nothing.
func NewAdmin(c Config) *Admin {
	c.Pace = c.Pace.withDefaults()
	return &Admin{Config: c, copy: c.Follower.Copy(), reach: Reach{c.Follower.Copy()},
		silences: silences{logger: c.Logger, about: map[string]*complaint.Complaint{}}}
}

// New makes the handler of the admin API.
func New(c Config) http.Handler { return NewAdmin(c).Handler() }

// OperationItems says what the items of operations are that are no accounts.
func OperationItems() map[string]string { return map[string]string{OperationCheckBlobs: "steps"} }

// Runners gives the Runner of every type of operation that this package knows; that of promotions is added by the caller.
// Operations need not be set.
func Runners(c Config) map[string]operation.Runner {
	a := NewAdmin(c)
	return map[string]operation.Runner{
		OperationSetDestination:    operation.RunnerFunc(a.runSetDestination),
		OperationRemoveDestination: operation.RunnerFunc(a.runRemoveDestination),
		OperationPause:             operation.RunnerFunc(a.runPause),
		OperationRestart:           operation.RunnerFunc(a.runRestart),
		OperationDelete:            operation.RunnerFunc(a.runDelete),
		OperationReseed:            operation.RunnerFunc(a.runReseed),
		OperationCheckBlobs:        operation.RunnerFunc(a.runCheckBlobs),
	}
}
