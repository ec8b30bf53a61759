// Package fault owns the closed set of error kinds that cross a package border.
//
// A kind says what went wrong in the words of an operator; each carries a hint that says what to do. Protocol servers
// turn a kind into a reply through one table each; nothing but Message and Hint ever reaches a user. The package knows
// no protocol and no engine.
package fault

import (
	"errors"
	"fmt"
)

// Kind is one way in which an operation can fail.
type Kind int

// The kinds. The zero value is Internal, so that an error nobody classified is treated as our own defect
// (a temporary failure to mail clients and servers).
const (
	Internal             Kind = iota // a broken invariant, or an error nobody classified
	Invalid                          // the caller asked for something malformed
	NotFound                         // the named thing does not exist
	Exists                           // the name is taken
	Denied                           // the caller may not do this
	Credentials                      // user name or password are wrong
	TooLarge                         // a stated limit on size or count is exceeded
	Busy                             // a change is in doubt or a limit on concurrency is reached; try again
	NotHome                          // the account's primary is another mailstore
	HomeUnreachable                  // the account's home did not answer
	Unusable                         // this copy is incomplete, in gap or diverged
	Paused                           // replication of the account is paused
	NotReady                         // the mailstore has not read to the end of the log yet
	LogUnavailable                   // the brokers did not confirm in time
	VolumeUnavailable                // the volume that holds blobs did not answer
	DirectoryUnavailable             // the directory did not answer
	DatabaseUnavailable              // the mailstore's own database cannot be written (disk full, corrupt)
	Locked                           // the account receives mail but cannot log in
	Maintenance                      // the account is in maintenance
	Closed                           // the account is closed
	Interrupted                      // the caller went away, or the process is ending
	kindEnd
)

// Kinds is how many there are.
const Kinds = int(kindEnd)

var texts = [kindEnd]struct{ name, word, hint string }{
	Internal:             {"internal error", "internal", "this is a defect: look at the mailstore's log, and report it"},
	Invalid:              {"invalid argument", "invalid", "correct the command; its help names what it takes"},
	NotFound:             {"not found", "not_found", "check the name"},
	Exists:               {"already exists", "exists", "choose another name"},
	Denied:               {"not permitted", "denied", "use a token or an account that has the role"},
	Credentials:          {"wrong user name or password", "credentials", "check the password, or set a new one with prov modifyAccount"},
	TooLarge:             {"over a limit", "too_large", "the message names the limit"},
	Busy:                 {"busy", "busy", "try again in a moment"},
	NotHome:              {"the account lives on another mailstore", "not_home", "ask its home; getAccountStatus names it"},
	HomeUnreachable:      {"the account's home mailstore does not answer", "home_unreachable", "start it, or promote the account"},
	Unusable:             {"this copy cannot be used", "unusable", "it is being repaired; MailReplica getAccountStatus shows its state"},
	Paused:               {"replication of the account is paused", "paused", "run MailReplica restartReplicas first"},
	NotReady:             {"still reading the event log", "not_ready", "try again in a moment"},
	LogUnavailable:       {"the event log does not confirm writes", "log_unavailable", "check the brokers with MailReplica test"},
	VolumeUnavailable:    {"the volume does not answer", "volume_unavailable", "check the volume's filesystem or bucket"},
	DirectoryUnavailable: {"the directory does not answer", "directory_unavailable", "check the directory's database"},
	DatabaseUnavailable:  {"the mailstore's database cannot be written", "database_unavailable", "check free disk space and the mailstore's log"},
	Locked:               {"the account is locked", "locked", "set its status to active"},
	Maintenance:          {"the account is in maintenance", "maintenance", "set its status to active"},
	Closed:               {"the account is closed", "closed", "set its status to active"},
	Interrupted:          {"interrupted", "interrupted", "repeat the command"},
}

// String is the kind in a few words, lower case.
func (k Kind) String() string {
	if k < 0 || k >= kindEnd {
		return fmt.Sprintf("kind %d", int(k))
	}
	return texts[k].name
}

// Word is the kind in one word, for programs: log_unavailable.
func (k Kind) Word() string {
	if k < 0 || k >= kindEnd {
		return texts[Internal].word
	}
	return texts[k].word
}

// Hint says what an operator can do about an error of this kind.
func (k Kind) Hint() string {
	if k < 0 || k >= kindEnd {
		return texts[Internal].hint
	}
	return texts[k].hint
}

// ParseKind is the inverse of String; it serves errors that crossed the admin or peer API.
func ParseKind(name string) Kind {
	for k := Kind(0); k < kindEnd; k++ {
		if texts[k].name == name {
			return k
		}
	}
	return Internal
}

// Error is an error with a kind. Message names the thing concerned and is safe to show to a user.
type Error struct {
	Kind    Kind
	Message string
	Cause   error  // for the log only; may be nil
	HintTo  string // overrides the kind's hint where more is known
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.Cause.Error()
}

// Unwrap gives errors.Is and errors.As the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes an error of a kind; the message is formatted as by fmt.Sprintf.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an error of a kind around a cause, which is logged but never shown to a user.
func Wrap(kind Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// WithHint replaces the kind's hint.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.HintTo = fmt.Sprintf(format, args...)
	return e
}

// KindOf is the kind of the outermost Error in err's chain, Internal if there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is reports whether err is of the kind. A nil error is of no kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// Message is what a user may be told of err: never the cause.
func Message(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Message
	}
	return Internal.String()
}

// HintOf is what an operator can do about err.
func HintOf(err error) string {
	var e *Error
	if errors.As(err, &e) && e.HintTo != "" {
		return e.HintTo
	}
	return KindOf(err).Hint()
}
