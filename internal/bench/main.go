// Command bench is the yardstick: it measures this project and other mail servers that replicate, on one machine, with the same messages
// from the same outside load generator, and writes what it found. `bench load` puts the same load on servers that run already.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"mailreplica/internal/subcommand"
)

const usage = `bench measures mail servers that replicate.

usage:
  bench run [--without SYSTEMS] [--check] …        measure, and write the page or compare with the one written last
  bench page                                     write the page anew from the record
  bench load --lmtp ADDRESS | --imap ADDRESS …   put load on servers that run
  bench start --system NAME                      run one system until it is interrupted

bench COMMAND --help shows what a command takes.
`

const program = "bench"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run carries out one command and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return subcommand.Program{
		Name: program, Usage: usage,
		Commands: map[string]subcommand.Command{"run": runAll, "page": runPage, "start": runStart, "load": runLoad},
	}.Run(ctx, args, stdout, stderr)
}
