package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"time"

	"mailreplica/internal/bench/load"
	"mailreplica/internal/subcommand"
)

// Limits of a load, so that a slip of the pen does not take the machine down.
const (
	connectionsMax = 10_000
	accountsMax    = 1_000_000
	messageMinB    = 1 << 10
	messageMaxB    = 32 << 20
)

// verb is a pattern with one of them, for a number.
var verb = regexp.MustCompile(`^[^%]*%[0-9]*d[^%]*$`)

// loading is what `bench load` was asked for.
type loading struct {
	lmtp, imap, replica string
	pattern, password   string
	first, accounts     int
	connections, probes int
	bytes, count        int
	length              time.Duration
	folder              string
	messages            *load.Messages
	stdout              io.Writer
}

// runLoad puts load on servers that run, and prints a line for each kind.
func runLoad(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	l := loading{stdout: stdout}
	flags := subcommand.NewFlags(program, "load", stderr)
	flags.StringVar(&l.lmtp, "lmtp", "", "deliver to this `ADDRESS`")
	flags.StringVar(&l.imap, "imap", "", "append, flag, move and expunge at this `ADDRESS`; each connection on an account of its own")
	flags.StringVar(&l.replica, "replica", "", "watch this IMAP `ADDRESS` of a replica, and tell how long deliveries take to get there")
	flags.StringVar(&l.pattern, "account", "user%02d@example.com", "`NAME` of the accounts, with a verb for their number")
	flags.StringVar(&l.password, "password", "", "of the accounts, for IMAP")
	flags.IntVar(&l.first, "first", 1, "number of the first account")
	flags.IntVar(&l.accounts, "accounts", 50, "how many accounts there are")
	flags.IntVar(&l.connections, "connections", 16, "how many connections")
	flags.IntVar(&l.probes, "probes", 4, "how many accounts are watched at once")
	flags.IntVar(&l.bytes, "bytes", 8192, "size of a message")
	flags.IntVar(&l.count, "count", 0, "end deliveries after so many messages (0: only after the time)")
	flags.DurationVar(&l.length, "for", 5*time.Second, "how long each kind of load lasts")
	flags.StringVar(&l.folder, "folder", "", "`NAME` of the folder to work in over IMAP, which must not be there (default: one with the time in it)")
	if err := flags.Read(args); err != nil {
		return err
	}
	if problem := l.check(); problem != "" {
		return flags.Wrong("%s", problem)
	}
	l.messages = load.NewMessages(l.bytes)
	return l.run(ctx)
}

func (l *loading) check() string {
	switch {
	case l.lmtp == "" && l.imap == "":
		return "want --lmtp, --imap or both"
	case l.replica != "" && l.lmtp == "":
		return "--replica needs --lmtp"
	case !verb.MatchString(l.pattern):
		return "--account needs one verb for the number, like user%02d"
	case l.accounts < 1 || l.accounts > accountsMax:
		return fmt.Sprintf("--accounts is %d; want 1 to %d", l.accounts, accountsMax)
	case l.connections < 1 || l.connections > connectionsMax:
		return fmt.Sprintf("--connections is %d; want 1 to %d", l.connections, connectionsMax)
	case l.replica != "" && (l.probes < 1 || l.probes > l.accounts):
		return fmt.Sprintf("--probes is %d; want 1 to --accounts", l.probes)
	case l.imap != "" && l.connections > l.accounts:
		return "--imap needs an account for each connection"
	case l.bytes < messageMinB || l.bytes > messageMaxB:
		return fmt.Sprintf("--bytes is %d; want %d to %d", l.bytes, messageMinB, messageMaxB)
	case l.count < 0:
		return "--count is less than 0"
	case l.length <= 0:
		return "--for is not more than 0"
	}
	return ""
}

func (l *loading) run(ctx context.Context) error {
	accounts := make([]load.Account, l.accounts)
	for i := range accounts {
		name := fmt.Sprintf(l.pattern, l.first+i)
		accounts[i] = load.Account{Address: name, Login: name, Password: l.password}
	}
	if l.lmtp != "" {
		result, err := load.Delivery{LMTP: l.lmtp, Accounts: accounts, Connections: l.connections, Messages: l.messages,
			Length: l.length, Count: l.count}.Run(ctx)
		if l.print("delivery", result); err != nil {
			return err
		}
	}
	if l.replica != "" {
		result, err := load.Visibility{LMTP: l.lmtp, Accounts: accounts[:l.probes], Messages: l.messages, Length: l.length,
			Pause: 20 * time.Millisecond, Watch: func(ctx context.Context, who load.Account) (load.Watcher, error) {
				return load.WatchIMAP(ctx, l.replica, who)
			}}.Run(ctx)
		if l.print("visible", result); err != nil {
			return err
		}
	}
	if l.imap == "" {
		return nil
	}
	if l.folder == "" {
		l.folder = fmt.Sprintf("bench-%d", time.Now().UnixMilli())
	}
	worked, err := load.Mailbox{IMAP: l.imap, Accounts: accounts, Connections: l.connections, Messages: l.messages,
		Length: l.length, Folder: l.folder}.Run(ctx)
	for _, step := range []struct {
		name   string
		result load.Result
	}{{"append", worked.Append}, {"flag change", worked.Flag}, {"move", worked.Move}, {"expunge", worked.Expunge}} {
		l.print(step.name, step.result)
	}
	return err
}

func (l *loading) print(name string, r load.Result) {
	if r.Count+r.Failed == 0 {
		return
	}
	fmt.Fprintf(l.stdout, "%-12s %8.0f/s  p50 %8.2f ms  p99 %8.2f ms  %d done, %d failed", name, r.Rate,
		milliseconds(r.Latency.Quantile(0.5)), milliseconds(r.Latency.Quantile(0.99)), r.Count, r.Failed)
	if r.Reason != nil {
		fmt.Fprintf(l.stdout, "; the first: %v", r.Reason)
	}
	fmt.Fprintln(l.stdout)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
