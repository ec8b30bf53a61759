package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailreplica/internal/bench/load"
	"mailreplica/internal/bench/report"
	"mailreplica/internal/bench/system"
	"mailreplica/internal/subcommand"
)

const (
	roundsMax    = 1000
	recordFile   = "record.json"
	pageFile     = "benchmarks.md"
	plotsFolder  = "benchmarks"
	accountsMin  = connections
	startMax     = 3 * time.Minute
	defaultCopy  = 20_000
	copyMessages = 1_000_000
)

// bench is one run of all systems.
type bench struct {
	options
	systems  []system.System
	docs     string // folder of the page
	messages *load.Messages
	record   report.Record
	keep     bool // folders of systems that failed
	stderr   io.Writer
}

// runAll measures the systems, and writes the page or compares with it.
func runAll(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	b := bench{stderr: stderr}
	flags := subcommand.NewFlags(program, "run", stderr)
	bin := flags.String("bin", "bin", "`FOLDER` of this project's programs")
	without := flags.String("without", "", "`SYSTEMS` to leave out, by commas; cyrus means both of them")
	check := flags.Bool("check", false, "compare with what is recorded, and write nothing")
	flags.BoolVar(&b.keep, "keep", false, "keep the folders of systems that failed: data, configuration, logs")
	flags.StringVar(&b.docs, "docs", "docs", "`FOLDER` to write to, or to compare with")
	flags.StringVar(&b.record.Remark, "remark", "", "`TEXT` to put on the page, about the machine for instance")
	flags.IntVar(&b.Rounds, "rounds", 3, "how many rounds")
	flags.DurationVar(&b.length, "for", 3*time.Second, "how long each row is measured in a round")
	flags.DurationVar(&b.warm, "warm", 20*time.Second, "how long each system is delivered to in each round before it is measured")
	flags.IntVar(&b.MessageBytes, "bytes", 8192, "size of a message")
	flags.IntVar(&b.Accounts, "accounts", 50, "how many accounts")
	flags.IntVar(&b.CopyMessages, "copy", defaultCopy, "how many messages the mailbox of the first copy has")
	flags.IntVar(&b.CopyRounds, "copy-rounds", 1, "in how many of the rounds a first copy is made, for it takes long to fill the mailbox")
	if err := flags.Read(args); err != nil {
		return err
	}
	if problem := b.check(); problem != "" {
		return flags.Wrong("%s", problem)
	}
	var err error
	if b.systems, err = leaveOut(systems(*bin), *without); err != nil {
		return flags.Wrong("%v", err)
	}
	var recorded report.Record
	if *check {
		if recorded, err = report.Load(filepath.Join(b.docs, plotsFolder, recordFile)); err != nil {
			return err
		}
	}
	if err := b.run(ctx); err != nil {
		return err
	}
	if *check {
		verdict := report.Check(recorded, b.record)
		if err := verdict.Print(stdout); err != nil {
			return err
		}
		if !verdict.OK() {
			return errors.New("the benchmark is not as recorded")
		}
		return nil
	}
	if err := write(b.docs, &b.record); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "written:", filepath.Join(b.docs, pageFile))
	return b.failed()
}

func (b *bench) check() string {
	switch {
	case b.Rounds < 1 || b.Rounds > roundsMax:
		return fmt.Sprintf("--rounds is %d; want 1 to %d", b.Rounds, roundsMax)
	case b.length < 100*time.Millisecond || b.length > time.Hour:
		return fmt.Sprintf("--for is %s; want 100ms to 1h", b.length)
	case b.warm < 100*time.Millisecond || b.warm > time.Hour:
		return fmt.Sprintf("--warm is %s; want 100ms to 1h", b.warm)
	case b.MessageBytes < messageMinB || b.MessageBytes > messageMaxB:
		return fmt.Sprintf("--bytes is %d; want %d to %d", b.MessageBytes, messageMinB, messageMaxB)
	case b.Accounts < accountsMin || b.Accounts > startAccountsMax:
		return fmt.Sprintf("--accounts is %d; want %d to %d", b.Accounts, accountsMin, startAccountsMax)
	case b.CopyMessages < 1 || b.CopyMessages > copyMessages:
		return fmt.Sprintf("--copy is %d; want 1 to %d", b.CopyMessages, copyMessages)
	case b.CopyRounds < 0 || b.CopyRounds > b.Rounds:
		return fmt.Sprintf("--copy-rounds is %d; want 0 to --rounds", b.CopyRounds)
	}
	return ""
}

// leaveOut drops systems by name, or by the part of it before the dash.
func leaveOut(all []system.System, names string) ([]system.System, error) {
	for _, name := range strings.FieldsFunc(names, func(r rune) bool { return r == ',' || r == ' ' }) {
		kept := slices.DeleteFunc(slices.Clone(all), func(s system.System) bool {
			family, _, _ := strings.Cut(s.Name(), "-")
			return name == s.Name() || name == family
		})
		if len(kept) == len(all) {
			_, err := named(all, name)
			return nil, err
		}
		all = kept
	}
	if len(all) == 0 {
		return nil, errors.New("no system is left")
	}
	return all, nil
}

// run measures every system in every round. The order turns round by round, so that none always comes after the same one.
func (b *bench) run(ctx context.Context) error {
	base, err := system.Folder()
	if err == nil {
		err = os.MkdirAll(base, 0o755)
	}
	if err == nil {
		err = removeLeft(base)
	}
	if err != nil {
		return err
	}
	b.messages = load.NewMessages(b.MessageBytes)
	b.record.Begun = time.Now()
	b.Seconds, b.WarmSeconds = b.length.Seconds(), b.warm.Seconds()
	b.record.Options = b.Options
	if b.record.Machine, err = machine(base); err != nil {
		return err
	}
	for _, s := range b.systems {
		one := report.System{Name: s.Name(), Title: s.Title(), Settings: s.Settings(), Figures: map[string][]float64{}}
		if one.Version, err = s.Version(ctx); err != nil {
			one.Version, one.Failures = "not there", append(one.Failures, err.Error())
		}
		b.record.Systems = append(b.record.Systems, one)
	}
	for round := range b.Rounds {
		order := make([]int, len(b.systems))
		for i := range order {
			order[i] = (i + round) % len(order)
		}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, i := range order {
			b.one(ctx, round, b.systems[i], &b.record.Systems[i])
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
	b.record.Took = time.Since(b.record.Begun).Round(time.Second).String()
	b.record.Ratios = b.record.Compare()
	return nil
}

// one measures a system in a round.
func (b *bench) one(ctx context.Context, round int, s system.System, into *report.System) {
	begun := time.Now()
	say := func(format string, args ...any) {
		fmt.Fprintf(b.stderr, "%s  round %d of %d  %-13s  %s\n", time.Now().Format("15:04:05"), round+1, b.Rounds, s.Name(), fmt.Sprintf(format, args...))
	}
	fail := func(err error) {
		into.Failures = append(into.Failures, fmt.Sprintf("round %d: %v", round+1, err))
	}
	folder, remove, err := workFolder(s.Name())
	if err != nil {
		fail(err)
		return
	}
	failures := len(into.Failures)
	defer func() {
		if b.keep && len(into.Failures) > failures {
			say("kept: %s", folder)
		} else if err := remove(); err != nil {
			fail(err)
		}
	}()
	say("starting")
	starting, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	running, err := s.Start(starting, folder, b.Accounts)
	if err != nil {
		say("FAILED to start: %v", err)
		fail(err)
		return
	}
	defer running.Stop()
	say("started in %.1f s", time.Since(begun).Seconds())
	m := measurement{options: b.options, round: round, running: running, messages: b.messages, say: say}
	m.run(ctx)
	for key, figure := range m.figures {
		into.Figures[key] = append(into.Figures[key], figure)
	}
	for _, err := range m.failures {
		fail(err)
	}
	say("done in %.0f s", time.Since(begun).Seconds())
}

// failed is an error if anything of any system failed: the page names it, and nobody is to overlook it.
func (b *bench) failed() error {
	var all []string
	for _, s := range b.record.Systems {
		if len(s.Failures) > 0 {
			all = append(all, fmt.Sprintf("%s failed %d times, first: %s", s.Name, len(s.Failures), s.Failures[0]))
		}
	}
	if len(all) > 0 {
		return errors.New(strings.Join(all, "\n"))
	}
	return nil
}

// write writes the page, its plots and the record.
func write(docs string, r *report.Record) error {
	folder := filepath.Join(docs, plotsFolder)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	shown := map[string][]string{}
	for _, plot := range report.Plots() {
		if err := os.WriteFile(filepath.Join(folder, plot.File), []byte(plot.SVG(r)), 0o644); err != nil {
			return err
		}
		shown[plot.Group] = append(shown[plot.Group], plotsFolder+"/"+plot.File)
	}
	if err := r.Save(filepath.Join(folder, recordFile)); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(docs, pageFile), []byte(r.Markdown(shown)), 0o644)
}

// runPage writes the page anew from the record's figures.
func runPage(_ context.Context, args []string, stdout, stderr io.Writer) error {
	flags := subcommand.NewFlags(program, "page", stderr)
	docs := flags.String("docs", "docs", "`FOLDER` to read from and to write to")
	if err := flags.Read(args); err != nil {
		return err
	}
	r, err := report.Load(filepath.Join(*docs, plotsFolder, recordFile))
	if err != nil {
		return err
	}
	r.Ratios = r.Compare()
	if err := write(*docs, &r); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "written:", filepath.Join(*docs, pageFile))
	return nil
}

// removeLeft removes the folders of runs that were killed. Their names end with the process's id, and a number.
func removeLeft(base string) error {
	left, err := filepath.Glob(filepath.Join(base, workPrefix+"*"))
	for _, folder := range left {
		parts := strings.Split(folder, "-")
		pid, problem := strconv.Atoi(parts[max(0, len(parts)-2)])
		if problem != nil {
			continue
		}
		if _, alive := os.Stat(fmt.Sprintf("/proc/%d", pid)); errors.Is(alive, os.ErrNotExist) {
			err = errors.Join(err, removeFolder(folder))
		}
	}
	return err
}
