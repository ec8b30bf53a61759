package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"

	"github.com/coreos/go-systemd/v22/daemon"

	"mailreplica/internal/config"
	"mailreplica/internal/directory"
	"mailreplica/internal/eventlog/broker"
	"mailreplica/internal/fault"
	"mailreplica/internal/node"
	"mailreplica/internal/profile"
	"mailreplica/internal/subcommand"
)

// serve runs one mailstore until it is told to stop.
func serve(ctx context.Context, args []string, _, stderr io.Writer) error {
	flags := subcommand.NewFlags(program, "serve", stderr)
	path := flags.String("config", "", "the mailstore's configuration `FILE`")
	profiles := profileFlag(flags)
	if err := flags.Read(args, "config"); err != nil {
		return err
	}
	c, err := config.Load(*path)
	if err != nil {
		return err
	}
	logger := newLogger(stderr, c.LogLevel).With("mailstore", c.FQDN)
	stop, err := profile.Serve(*profiles, logger)
	if err != nil {
		return err
	}
	defer stop()
	n, err := node.Start(ctx, c, version, logger)
	if err != nil {
		return err
	}
	if err := announce(c.PIDFile); err != nil {
		return errors.Join(err, n.Stop(context.Background()))
	}
	logger.Info("ready", "version", version)
	var reason error
	select {
	case <-ctx.Done():
		logger.Info("stopping")
	case reason = <-n.Failed():
		logger.Error("stopping", "error", reason)
	}
	return errors.Join(reason, n.Stop(context.Background()))
}

func profileFlag(flags subcommand.Flags) *string {
	return flags.String("profile", "", "answer Go's profiles on this loopback `ADDRESS`, IP:port, below /debug/pprof/")
}

// announce tells who waits for it that the process answers: those that look at its pid file, and systemd.
func announce(pidFile string) error {
	if err := writePID(pidFile); err != nil {
		return err
	}
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		return fault.Wrap(fault.Invalid, err, "systemd cannot be told that this process is ready").
			WithHint("the unit must let it use sockets of AF_UNIX")
	}
	return nil
}

func writePID(path string) error {
	if path == "" {
		return nil
	}
	temporary := path + ".new"
	err := os.WriteFile(temporary, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the pid file %s cannot be written", path).
			WithHint("name a folder that is there and that this user may write to")
	}
	return nil
}

// runBroker runs the embedded event log until it is told to stop.
func runBroker(ctx context.Context, args []string, _, stderr io.Writer) error {
	flags := subcommand.NewFlags(program, "broker", stderr)
	data := flags.String("data", "", "the `FOLDER` that keeps the log")
	listen := flags.String("listen", broker.ListenDefault, "the `ADDRESS` to listen on, which clients are told too")
	advertise := flags.String("advertise", "", "the `ADDRESS` that clients are told instead of --listen, IP:port")
	pid := flags.String("pid-file", "", "the `FILE` to write the process's id to")
	profiles := profileFlag(flags)
	if err := flags.Read(args, "data"); err != nil {
		return err
	}
	logger := newLogger(stderr, "info")
	stop, err := profile.Serve(*profiles, logger)
	if err != nil {
		return err
	}
	defer stop()
	return broker.Run(ctx, broker.Config{
		Listen: *listen, Advertise: *advertise, DataDir: *data, SyncWrites: true, Logger: logger,
		Ready: func(address string) error {
			if err := announce(*pid); err != nil {
				return err
			}
			logger.Info("ready", "listen", address)
			return nil
		},
	})
}

// initDirectory makes the directory of a new platform.
func initDirectory(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := subcommand.NewFlags(program, "init", stderr)
	file := flags.String("directory", "", "the `FILE` of the directory, on a filesystem of this machine")
	path := flags.String("config", "", "a mailstore's configuration `FILE`, which says where the directory is")
	if err := flags.Read(args); err != nil {
		return err
	}
	if (*file == "") == (*path == "") {
		return flags.Wrong("want either --directory or --config")
	}
	options, name := directory.Options{Path: *file}, *file
	if *path != "" {
		c, err := config.Load(*path)
		if err != nil {
			return err
		}
		if options, err = node.DirectoryOptions(c); err != nil {
			return err
		}
		if name = options.Path; options.MariaDB != nil {
			name = options.MariaDB.String()
		}
	}
	return createDirectory(ctx, options, name, stdout)
}

// createDirectory makes a directory where there is none. One that is there stays as it is, and is an error: the platform has been
// set up.
func createDirectory(ctx context.Context, options directory.Options, name string, stdout io.Writer) error {
	there, err := directory.Open(options)
	if err != nil {
		return err
	}
	_, err = there.Identity(ctx)
	if err = errors.Join(there.Close(), err); err == nil {
		return fault.New(fault.Exists, "the directory %s is there already", name).WithHint("a directory is made once; mailstores use it as it is")
	}
	d, err := directory.Create(ctx, options)
	if err != nil {
		return err
	}
	_, err = io.WriteString(stdout, "the directory "+name+" is ready\n")
	return errors.Join(err, d.Close())
}
