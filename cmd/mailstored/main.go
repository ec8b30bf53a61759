// Command mailstored runs a mailstore, the embedded broker, or a whole cluster for development. It parses, wires and
// runs; everything else is in internal/.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"mailreplica/internal/fault"
	"mailreplica/internal/subcommand"
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

const program = "mailstored"

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run carries out one command and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return subcommand.Program{
		Name: program, Usage: usage,
		Commands: map[string]subcommand.Command{
			"serve": serve, "broker": runBroker, "init": initDirectory, "dev": dev, "version": tellVersion, "--version": tellVersion,
		},
		Explain: func(err error) string { return fmt.Sprintf("%v\n  %s", err, fault.HintOf(err)) },
	}.Run(ctx, args, stdout, stderr)
}

func tellVersion(_ context.Context, _ []string, stdout, _ io.Writer) error {
	_, err := fmt.Fprintln(stdout, version)
	return err
}

func newLogger(w io.Writer, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo // the configuration has checked it
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l}))
}
