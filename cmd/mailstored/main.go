// Command mailstored runs a mailstore, the embedded broker, or a whole cluster for development. It parses, wires and
// runs; everything else is in internal/.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"mailreplica/internal/fault"
)

const usage = `mailstored runs a mailstore of Mailreplica.

usage:
  mailstored serve --config FILE                    run one mailstore
  mailstored broker --data DIR [--listen IP:PORT] [--advertise IP:PORT]
                                                    run the embedded event log (default 127.0.0.10:9092)
  mailstored init --directory FILE | --config FILE  make a new, empty directory for a platform, once
  mailstored dev --data DIR [--mailstores N] [--engines embedded|production]
                                                    run a cluster on loopback addresses in the foreground
  mailstored version

mailstored COMMAND --help shows what a command takes.
`

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run carries out one command and returns the exit status: 0, 1 for a failure, 2 for a wrong command line.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	commands := map[string]func(context.Context, []string, io.Writer, io.Writer) error{
		"serve": serve, "broker": runBroker, "init": initDirectory, "dev": dev,
	}
	if len(args) == 0 || args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		fmt.Fprint(stdout, usage)
		return 0
	}
	if args[0] == "version" {
		fmt.Fprintln(stdout, version)
		return 0
	}
	command, ok := commands[args[0]]
	if !ok {
		fmt.Fprintf(stderr, "mailstored: there is no command %q\n\n%s", args[0], usage)
		return 2
	}
	err := command(ctx, args[1:], stdout, stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	fmt.Fprintf(stderr, "mailstored: %v\n  %s\n", err, fault.HintOf(err))
	return 1
}

// errUsage says that the command line was wrong and that the user has been told.
var errUsage = errors.New("wrong usage")

// parse reads a command's flags. required names those that must not be empty.
func parse(flags *flag.FlagSet, args []string, stderr io.Writer, required ...string) error {
	flags.SetOutput(stderr)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "mailstored %s: unexpected argument %q\n", flags.Name(), flags.Arg(0))
		flags.Usage()
		return errUsage
	}
	for _, name := range required {
		if flags.Lookup(name).Value.String() == "" {
			fmt.Fprintf(stderr, "mailstored %s: --%s is missing\n", flags.Name(), name)
			flags.Usage()
			return errUsage
		}
	}
	return nil
}

func newLogger(w io.Writer, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo // the configuration has checked it
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l}))
}
