// Package frontend owns what both protocol servers stand on: where an account lives, who may log in, and how a session or
// a delivery reaches the mailbox, here or on another mailstore. It implements the backends of packages imap and lmtp.
//
// It knows the mailstore and this mailstore's copy of the directory; it knows neither the event log nor SQL, nor the
// syntax of a protocol.
package frontend

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/protocol"
)

const (
	refreshWait   = 2 * time.Second  // for the directory, when a route may be old
	logSilenceMax = 60 * time.Second // then the account may live elsewhere by now, and nobody would know
)

// Creator makes the mailbox of an account that never had one.
type Creator interface {
	CreateMailbox(ctx context.Context, wish directory.Account) (*mailstore.Account, error)
}

// RouterConfig is what a Router is made of.
type RouterConfig struct {
	Follower  *directory.Follower
	Mailstore *mailstore.Mailstore
	Creator   Creator
	// LogContact is when the brokers answered last; the zero time where that is not known.
	LogContact func() time.Time
}

// Router finds accounts and their homes.
type Router struct {
	config  RouterConfig
	self    string
	contact atomic.Pointer[time.Time] // the latest LogContact seen
	answers *answers
	moves   *moves
}

// NewRouter makes a Router.
func NewRouter(c RouterConfig) *Router {
	r := &Router{config: c, self: c.Mailstore.Self(), answers: newAnswers()}
	r.moves = &moves{router: r, waiting: map[account.ID]map[*waiting]struct{}{}}
	c.Follower.Subscribe(r.moves.changed) // as long as both live
	return r
}

// Route is an account and its home.
type Route struct {
	Account directory.Account
	Home    string // FQDN
	Local   bool   // the home is here
}

// ByName gives the route of an account by its name. NotFound is the directory's own answer; a list is none of accounts.
func (r *Router) ByName(ctx context.Context, name string) (Route, error) {
	a, err := r.config.Follower.Lookup(ctx, name)
	if err != nil {
		return Route{}, err
	}
	return r.route(a)
}

// ByID gives the route of an account by its id.
func (r *Router) ByID(ctx context.Context, id account.ID) (Route, error) {
	a, err := r.config.Follower.LookupID(ctx, id)
	if err != nil {
		return Route{}, err
	}
	return r.route(a)
}

// ByAddress gives the route of the account that takes mail for an address: the one of that name, else the one of the name
// without its +detail. What cannot be the name of an account is NotFound.
func (r *Router) ByAddress(ctx context.Context, address string) (Route, error) {
	name, err := account.ParseName(address)
	if err != nil {
		return Route{}, fault.Wrap(fault.NotFound, err, "there is no account %.300q", address)
	}
	route, err := r.ByName(ctx, name)
	base, detailed := withoutDetail(name)
	if err == nil || !detailed {
		return route, err
	}
	if !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.DirectoryUnavailable) {
		return route, err
	}
	// Without the directory, an account of the full name that the copy does not know is less likely than that there is
	// none; and mail for known accounts goes on.
	found, baseErr := r.ByName(ctx, base)
	if baseErr != nil {
		return route, err
	}
	return found, nil
}

// withoutDetail leaves out of a name what follows the first + of its local part.
func withoutDetail(name string) (string, bool) {
	local, domain, _ := strings.Cut(name, "@")
	user, _, detailed := strings.Cut(local, "+")
	return user + "@" + domain, detailed && user != ""
}

// route says where an account lives. The log decides that: a copy of a later epoch than the directory's is right.
func (r *Router) route(a directory.Account) (Route, error) {
	switch {
	case a.Kind != directory.User:
		return Route{}, fault.New(fault.NotFound, "%s is a distribution list, which has no mailbox", a.Name)
	case a.Deleting:
		return Route{}, fault.New(fault.NotFound, "there is no account %s any more", a.Name)
	}
	route := Route{Account: a, Home: a.MailHost}
	if held, ok := r.config.Mailstore.Account(a.ID); ok {
		if c := held.Copy(); c.Epoch > a.Epoch && c.Primary != "" {
			route.Home = c.Primary
		}
	}
	route.Local = route.Home == r.self
	return route, nil
}

// home gives the addresses of an account's home.
func (r *Router) home(route Route) (directory.Mailstore, error) {
	m, known := r.config.Follower.Copy().Mailstore(route.Home)
	if !known {
		return m, fault.New(fault.HomeUnreachable, "the home of %s, %s, is not known", route.Account.Name, route.Home)
	}
	return m, nil
}

// refresh brings the copy of the directory up to date, where the directory answers. The error is the directory's own, and
// there is nothing to be done about it here: the route stays what it was.
func (r *Router) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, refreshWait)
	defer cancel()
	_ = r.config.Follower.Poll(ctx)
}

// mayHaveMoved reports whether an error may come from asking a mailstore that is not the account's home any more: a
// promotion may have been a moment ago, or while this process was not running.
func mayHaveMoved(err error) bool {
	switch fault.KindOf(err) {
	case fault.NotHome, fault.HomeUnreachable, fault.NotReady, fault.Unusable:
		return err != nil
	}
	return false
}

// confirm looks again at a route that leads to a copy which cannot serve.
func (r *Router) confirm(ctx context.Context, route Route) (Route, error) {
	if !route.Local {
		return route, nil
	}
	held, ok := r.config.Mailstore.Account(route.Account.ID)
	if !ok || !mayHaveMoved(held.MayServe()) {
		return route, nil
	}
	r.refresh(ctx)
	return r.ByID(ctx, route.Account.ID)
}

// open gives the copy of an account whose home is here, and makes the mailbox of one that never had any.
func (r *Router) open(ctx context.Context, a directory.Account) (*mailstore.Account, error) {
	held, ok := r.config.Mailstore.Account(a.ID)
	if !ok {
		switch {
		case a.MailHost != r.self:
			return nil, fault.New(fault.NotHome, "the home of %s is %s", a.Name, a.MailHost)
		case a.Epoch != 0:
			return nil, fault.New(fault.Unusable, "the mailbox of %s is not on %s", a.Name, r.self)
		}
		var err error
		if held, err = r.config.Creator.CreateMailbox(ctx, a); err != nil {
			return nil, err
		}
	}
	if err := held.MayServe(); err != nil {
		return nil, err
	}
	return held, nil
}

// fresh says whether the log has been heard of lately enough to begin a session on an account that it decides for (design
// section 7, "brokers").
func (r *Router) fresh(a *mailstore.Account) error {
	if a.Copy().Mode != protocol.Log || r.config.LogContact == nil {
		return nil
	}
	latest := r.config.LogContact()
	if seen := r.contact.Load(); seen != nil && seen.After(latest) {
		latest = *seen
	} else {
		r.contact.Store(&latest) // of two at once either is late enough
	}
	if time.Since(latest) > logSilenceMax {
		return fault.New(fault.LogUnavailable, "the event log has not answered for more than %s", logSilenceMax)
	}
	return nil
}

// mayReceive says why an account takes no mail, nil if it does.
func mayReceive(a directory.Account) error {
	switch a.Status {
	case directory.Maintenance:
		return fault.New(fault.Maintenance, "%s is in maintenance", a.Name)
	case directory.Closed:
		return fault.New(fault.Closed, "%s is closed", a.Name)
	}
	return nil
}

// mayLogIn says why an account cannot be logged in to, nil if it can.
func mayLogIn(a directory.Account) error {
	if a.Status == directory.Locked {
		return fault.New(fault.Locked, "%s is locked", a.Name)
	}
	return mayReceive(a)
}
