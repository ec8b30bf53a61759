// Command carbonio is the command line of a Mailreplica administrator. It parses, asks a mailstore over the admin API, and
// shows the answer; what a command does, and what it refuses, is decided by the mailstore (package admin).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"golang.org/x/term"

	"mailreplica/internal/fault"
)

// Exit codes (design section 8).
const (
	exitSuccessful  = 0
	exitFailed      = 1
	exitStopped     = 2
	exitRemoved     = 3
	exitInterrupted = 4
)

// version is set by the build.
var version = "dev"

const configDefault = "/etc/carbonio/carbonio.yaml"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	e := environment{configPath: os.Getenv("CARBONIO_CONFIG"), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	if e.configPath == "" {
		e.configPath = configDefault
	}
	if width, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
		e.terminalWidth = max(width, terminalWidthMin)
	}
	e.liveProgress = term.IsTerminal(int(os.Stderr.Fd()))
	os.Exit(run(ctx, os.Args[1:], e))
}

// terminalWidthMin is used where a terminal does not know its width.
const terminalWidthMin = 40

// environment is what a command line runs in.
type environment struct {
	configPath     string
	stdin          io.Reader
	stdout, stderr io.Writer
	terminalWidth  int  // of stdout; 0: it is no terminal
	liveProgress   bool // stderr is a terminal, on which a line can be written over
	jsonErrors     bool // a program reads stdout: errors are told there, too
}

// exitCode is an error that only says how to exit: everything has been told.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// run carries out one command line and returns the exit code.
func run(ctx context.Context, args []string, e environment) int {
	in, err := parse(args)
	e.jsonErrors = slices.Contains(args, "--json") // also where the line was not understood
	var usage *usageError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintf(e.stderr, "carbonio: %s\n\n%s", usage.problem, usage.help)
		e.reportJSON(fault.New(fault.Invalid, "%s", usage.problem))
		return exitFailed
	case err != nil:
		return report(err, e)
	case in.help != "":
		fmt.Fprint(e.stdout, in.help)
		return exitSuccessful
	}
	s := &session{environment: e, invocation: in}
	if err := s.connect(ctx); err != nil {
		return report(err, e)
	}
	return report(in.command.run(ctx, s), e)
}

// report tells an error in one line, and gives the exit code.
func report(err error, e environment) int {
	var code exitCode
	switch {
	case err == nil:
		return exitSuccessful
	case errors.As(err, &code):
		return int(code)
	}
	line := printable(fault.Message(err))
	if hint := fault.HintOf(err); hint != "" {
		line += " (" + printable(hint) + ")"
	}
	fmt.Fprintf(e.stderr, "carbonio: %s\n", line)
	e.reportJSON(err)
	if fault.Is(err, fault.Interrupted) {
		return exitInterrupted
	}
	return exitFailed
}

// reportJSON tells a program of an error, in place of the answer that there is none of.
func (e environment) reportJSON(err error) {
	if !e.jsonErrors {
		return
	}
	type problem struct {
		Kind    string `json:"kind"`
		Message string `json:"message"`
		Hint    string `json:"hint"`
	}
	encoder := json.NewEncoder(e.stdout)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(struct { // who reads it may have gone; the exit code tells all the same
		Error problem `json:"error"`
	}{problem{fault.KindOf(err).String(), fault.Message(err), fault.HintOf(err)}})
}
