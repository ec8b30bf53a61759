// Package system starts and stops the mail servers that are measured, each as a source and a replica on loopback addresses of this
// machine, in a folder that goes with it. One file has one server.
//
// It must not know what is measured: package load puts the load on, the command decides which.
package system

import (
	"context"
	"fmt"
	"time"

	"mailreplica/internal/bench/load"
)

// System is a mail server in one way of use.
type System interface {
	Name() string  // of one word, for flags and files
	Title() string // for people
	// Settings are how it is set up, a line each, with what its makers or packagers have it do about durability.
	Settings() []string
	// Version is that of its programs.
	Version(ctx context.Context) (string, error)
	// Start starts it afresh with accounts in an empty folder, and returns when it serves and every account has its replica.
	Start(ctx context.Context, folder string, accounts int) (Running, error)
}

// Running is a system that was started.
type Running interface {
	LMTP() string // address of the source
	IMAP() string
	Accounts() []load.Account
	// CPU is what its processes have used so far, those that have ended included.
	CPU() (time.Duration, error)
	// Disk is what it takes.
	Disk() (Usage, error)
	// Stop ends all of its processes.
	Stop()
}

// Replicated is a running system that has a replica.
type Replicated interface {
	// Watch looks at an account's INBOX on the replica.
	Watch(ctx context.Context, who load.Account) (load.Watcher, error)
}

// FirstCopier is a running system that makes replicas of what is there already.
type FirstCopier interface {
	// FirstCopy makes an account without a replica, has it filled, and tells how long it took to make the replica.
	FirstCopy(ctx context.Context, fill func(who load.Account) error) (time.Duration, error)
}

// Promoter is a running system that can make a replica the primary.
type Promoter interface {
	// Promote promotes the replica of one account and tells how long that took.
	Promote(ctx context.Context, who load.Account) (time.Duration, error)
}

const (
	domain   = "example.com"
	password = "measured-with-care" // the same in all of them
)

// accountName is the i-th account, from 1.
func accountName(i int) string { return fmt.Sprintf("user%03d", i) }

// addressed gives accounts that log in with their whole address.
func addressed(n int) []load.Account {
	all := make([]load.Account, n)
	for i := range all {
		all[i] = withAddress(accountName(i + 1))
	}
	return all
}

func withAddress(name string) load.Account {
	return load.Account{Address: name + "@" + domain, Login: name + "@" + domain, Password: password}
}

// copied is the account of FirstCopy.
const copied = "first"
