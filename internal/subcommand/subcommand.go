// Package subcommand runs a program that is several commands in one, each with flags of its own. It knows no command.
package subcommand

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// ErrUsage says that the command line was wrong and that the user has been told.
var ErrUsage = errors.New("wrong usage")

// Command carries out a command; args are those behind its name.
type Command func(ctx context.Context, args []string, stdout, stderr io.Writer) error

// Program is what there is to be run.
type Program struct {
	Name     string
	Usage    string
	Commands map[string]Command
	Explain  func(error) string // optional: what is said of a command that failed, instead of the error itself
}

// Run carries out one command and returns the exit status: 0, 1 for a failure, 2 for a wrong command line.
func (p Program) Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		fmt.Fprint(stdout, p.Usage)
		return 0
	}
	command, ok := p.Commands[args[0]]
	if !ok {
		fmt.Fprintf(stderr, "%s: there is no command %q\n\n%s", p.Name, args[0], p.Usage)
		return 2
	}
	err := command(ctx, args[1:], stdout, stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, ErrUsage):
		return 2
	}
	text := err.Error()
	if p.Explain != nil {
		text = p.Explain(err)
	}
	fmt.Fprintf(stderr, "%s: %s\n", p.Name, text)
	return 1
}

// Flags are those of a command of a program.
type Flags struct {
	*flag.FlagSet
	program string
}

// NewFlags makes the flags of a command, which is told of on stderr.
func NewFlags(program, command string, stderr io.Writer) Flags {
	f := Flags{flag.NewFlagSet(command, flag.ContinueOnError), program}
	f.SetOutput(stderr)
	f.Usage = f.tell
	return f
}

// tell lists the flags as they are written in the documents: with two dashes.
func (f Flags) tell() {
	fmt.Fprintf(f.Output(), "usage: %s %s\n", f.program, f.Name())
	f.VisitAll(func(one *flag.Flag) {
		value, text := flag.UnquoteUsage(one)
		if one.DefValue != "" && one.DefValue != "0" && one.DefValue != "false" {
			text += " (default " + one.DefValue + ")"
		}
		fmt.Fprintf(f.Output(), "  %s\n      %s\n", strings.TrimSpace("--"+one.Name+" "+value), text)
	})
}

// Read reads the command line: flags, and nothing else. required names those that must not be empty.
func (f Flags) Read(args []string, required ...string) error {
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return ErrUsage
	}
	if f.NArg() > 0 {
		return f.Wrong("unexpected argument %q", f.Arg(0))
	}
	for _, name := range required {
		if f.Lookup(name).Value.String() == "" {
			return f.Wrong("--%s is missing", name)
		}
	}
	return nil
}

// Wrong tells what is wrong with the command line.
func (f Flags) Wrong(format string, args ...any) error {
	fmt.Fprintf(f.Output(), "%s %s: %s\n", f.program, f.Name(), fmt.Sprintf(format, args...))
	f.Usage()
	return ErrUsage
}
