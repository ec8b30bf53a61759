package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mailreplica/internal/bench/system"
	"mailreplica/internal/subcommand"
)

// systems are all that can be measured.
func systems(bin string) []system.System {
	return []system.System{
		system.Mailreplica{Bin: bin, Engines: "embedded"},
		system.Mailreplica{Bin: bin, Engines: "embedded", Replicated: true},
		system.Mailreplica{Bin: bin, Engines: "production", Replicated: true},
		system.Dovecot{},
		system.Cyrus{},
		system.Cyrus{Synchronous: true},
	}
}

func named(all []system.System, name string) (system.System, error) {
	var names []string
	for _, s := range all {
		if s.Name() == name {
			return s, nil
		}
		names = append(names, s.Name())
	}
	return nil, fmt.Errorf("there is no system %q; there are %s", name, strings.Join(names, ", "))
}

const (
	workPrefix  = "run-"
	removeTries = 50
)

// workFolder makes a folder for a system, and gives what removes it.
func workFolder(name string) (folder string, remove func() error, err error) {
	base, err := system.Folder()
	if err == nil {
		err = os.MkdirAll(base, 0o755)
	}
	if err == nil {
		folder, err = os.MkdirTemp(base, fmt.Sprintf("%s%s-%d-", workPrefix, name, os.Getpid()))
	}
	if err == nil {
		err = os.Chmod(folder, 0o755) // servers have users of their own
	}
	return folder, func() error { return removeFolder(folder) }, err
}

// removeFolder removes a folder in which killed processes may be about to end.
func removeFolder(folder string) (err error) {
	for range removeTries {
		if err = os.RemoveAll(folder); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// runStart runs one system until it is told to stop.
func runStart(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := subcommand.NewFlags(program, "start", stderr)
	name := flags.String("system", "", "`NAME` of the system")
	bin := flags.String("bin", "bin", "`FOLDER` of this project's programs")
	accounts := flags.Int("accounts", 50, "how many accounts to make")
	keep := flags.Bool("keep", false, "keep its folder: data, configuration, logs")
	if err := flags.Read(args); err != nil {
		return err
	}
	s, err := named(systems(*bin), *name)
	if err != nil {
		return flags.Wrong("%v", err)
	}
	if *accounts < 1 || *accounts > startAccountsMax {
		return flags.Wrong("--accounts is %d; want 1 to %d", *accounts, startAccountsMax)
	}
	folder, remove, err := workFolder(s.Name())
	if err != nil {
		return err
	}
	if !*keep {
		defer func() { err = errors.Join(err, remove()) }()
	}
	running, err := s.Start(ctx, folder, *accounts)
	if err != nil {
		return err
	}
	defer running.Stop()
	all := running.Accounts()
	fmt.Fprintf(stdout, "%s runs in %s\nLMTP %s\nIMAP %s\naccounts %s to %s, logins %s to %s, password %s\nInterrupt (Ctrl-C) ends it.\n", s.Title(), filepath.Base(folder),
		running.LMTP(), running.IMAP(), all[0].Address, all[len(all)-1].Address, all[0].Login, all[len(all)-1].Login, all[0].Password)
	<-ctx.Done()
	return nil
}

const startAccountsMax = 500
