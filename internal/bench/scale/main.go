// Command scale measures what many accounts cost: making their replicas, promoting them with their source dead, restarting a
// mailstore that holds them, and what single operations and idling cost beside them. It runs a development cluster of
// real processes on the embedded engines, in a folder that can be kept and measured again.
//
//	go build -o bin/ ./cmd/mailstored ./cmd/carbonio ./internal/bench/imapload
//	go run ./internal/bench/scale -folder F -accounts 10000 prepare operations idle restart promote
//	go run ./internal/bench/scale -folder F -mailbox 1000000 large copy large-mail
//	go run ./internal/bench/scale -folder F growth-accounts          (or growth-mailbox, growth-streams)
//
// Phases are carried out in the order given. It measures; it judges only that nothing is lost: after a promotion every
// account is where it should be, with all its messages.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mailreplica/internal/devcluster"
)

type options struct {
	accounts, messages, messageBytes int
	replicas, replicated             int
	mailbox                          int
	threads                          int
	profile                          string
	sizes                            []int // of a series; empty: its own
}

func main() {
	var o options
	var c devcluster.Options
	flag.StringVar(&c.Bin, "bin", "bin", "folder of the programs")
	flag.StringVar(&c.Folder, "folder", "", "folder of the cluster; it is kept")
	flag.StringVar(&c.Address, "address", "127.0.77.10", "first loopback address of the cluster")
	flag.IntVar(&c.Mailstores, "mailstores", 2, "how many mailstores to run")
	flag.IntVar(&o.accounts, "accounts", 1000, "how many accounts to make on mbox1")
	flag.IntVar(&o.messages, "messages", 2, "messages of each account")
	flag.IntVar(&o.messageBytes, "message-bytes", 2000, "size of a message")
	flag.IntVar(&o.replicas, "replicas", 1, "replicas of each account, on mbox2 and so on")
	flag.IntVar(&o.replicated, "replicated", 0, "how many of the accounts have replicas; 0: all")
	flag.IntVar(&o.mailbox, "mailbox", 20_000, "messages of the mailbox of large, copy and large-mail")
	flag.IntVar(&c.Streams, "streams", 0, "streams of the event log; 0: the default of a development cluster")
	flag.IntVar(&o.threads, "threads", 0, "requests that a promotion makes side by side; 0: its default")
	flag.StringVar(&o.profile, "profile", "", "folder for CPU profiles of the mailstores, one for each phase")
	flag.Func("sizes", "at which growth-accounts, growth-mailbox or growth-streams is measured, comma separated", func(text string) error {
		for one := range strings.SplitSeq(text, ",") {
			n, err := strconv.Atoi(one)
			if err != nil || n < 1 {
				return fmt.Errorf("%q is no size", one)
			}
			o.sizes = append(o.sizes, n)
		}
		return nil
	})
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c, o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c devcluster.Options, o options, phases []string) error {
	if c.Folder == "" || len(phases) == 0 || o.replicas >= c.Mailstores {
		return fmt.Errorf("want -folder F, fewer replicas than mailstores, and phases: prepare (accounts, replicas), operations, idle, single, restart, promote, load, large, copy, large-mail; or growth-accounts, growth-mailbox, growth-streams")
	}
	c.Engines = "embedded"
	if s, grows := allSeries()[phases[0]]; grows {
		return grow(ctx, c, o, s)
	}
	_, err := runPhases(ctx, c, o, phases)
	return err
}

// runPhases carries phases out on one cluster, and gives what they measured.
func runPhases(ctx context.Context, c devcluster.Options, o options, phases []string) ([]figure, error) {
	if o.profile != "" {
		c.Profile = profilePort
	}
	running, err := devcluster.Start(ctx, c)
	if running != nil {
		defer running.Stop()
	}
	if err != nil {
		return nil, err
	}
	d, err := newDriver(ctx, running, o)
	if err != nil {
		return nil, err
	}
	defer d.close()
	known := map[string]func(context.Context) error{
		"prepare": d.prepare, "accounts": d.make, "replicas": d.replicate, "operations": d.operations, "idle": d.idle, "single": d.single, "restart": d.restart, "promote": d.promote,
		"large": d.large, "copy": d.copyLarge, "large-mail": d.largeMail, "load": d.load,
	}
	for _, name := range phases {
		phase := known[name]
		if phase == nil {
			return nil, fmt.Errorf("there is no phase %q", name)
		}
		stopProfiles := d.startProfiles(ctx, name)
		err := phase(ctx)
		stopProfiles()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return d.figures, nil
}

func say(format string, args ...any) {
	fmt.Printf("%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}
