// Command bench is the yardstick: it measures this project and other mail servers that replicate, on one machine, with the same messages
// from the same outside load generator, and writes what it found. `bench load` puts the same load on servers that run already.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `bench measures mail servers that replicate.

usage:
  bench run [--without SYSTEMS] [--check] …        measure, and write the page or compare with the one written last
  bench page                                     write the page anew from the record
  bench load --lmtp ADDRESS | --imap ADDRESS …   put load on servers that run
  bench start --system NAME                      run one system until it is interrupted

bench COMMAND --help shows what a command takes.
`

// errUsage says that the command line was wrong and that the user has been told.
var errUsage = errors.New("wrong usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run carries out one command and returns the exit status: 0, 1 for a failure, 2 for a wrong command line.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	commands := map[string]func(context.Context, []string, io.Writer, io.Writer) error{
		"run": runAll, "page": runPage, "start": runStart, "load": runLoad,
	}
	if len(args) == 0 || args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		fmt.Fprint(stdout, usage)
		return 0
	}
	command, ok := commands[args[0]]
	if !ok {
		fmt.Fprintf(stderr, "bench: there is no command %q\n\n%s", args[0], usage)
		return 2
	}
	err := command(ctx, args[1:], stdout, stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	fmt.Fprintf(stderr, "bench: %v\n", err)
	return 1
}

// parse reads a command's flags.
func parse(flags *flag.FlagSet, args []string, stderr io.Writer) error {
	flags.SetOutput(stderr)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if flags.NArg() > 0 {
		return wrong(flags, "unexpected argument %q", flags.Arg(0))
	}
	return nil
}

// wrong tells what is wrong with a command line.
func wrong(flags *flag.FlagSet, format string, args ...any) error {
	fmt.Fprintf(flags.Output(), "bench %s: %s\n", flags.Name(), fmt.Sprintf(format, args...))
	flags.Usage()
	return errUsage
}
