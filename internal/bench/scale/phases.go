package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/pause"
)

// prepare makes the accounts on mbox1, their messages and their replicas. What is there from an earlier run stays.
func (d *driver) prepare(ctx context.Context) error {
	if err := d.make(ctx); err != nil {
		return err
	}
	return d.replicate(ctx)
}

// make makes accounts with messages.
func (d *driver) make(ctx context.Context) error {
	n := len(d.names)
	err := d.measured("accounts", n, func() error {
		err := d.each(128, func(_ int, name string) error {
			_, err := d.directory.CreateAccount(ctx, directory.NewAccount{Name: name, PasswordHash: d.hash, MailHost: fqdn(1)})
			if fault.Is(err, fault.Exists) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
		return d.count(ctx, "mailboxes", n, func(a *directory.Account) bool { return a.Epoch > 0 })
	})
	if err != nil {
		return err
	}
	return d.measured("messages, unreplicated", max(1, n*d.options.messages), func() error { return d.fill(1) })
}

// replicate makes replicas of all accounts, or of as many as were asked for.
func (d *driver) replicate(ctx context.Context) error {
	n, selection := len(d.names), []string{"all"}
	if d.options.replicated > 0 && d.options.replicated < n {
		n = d.options.replicated
		list := filepath.Join(d.scratch, "replicated")
		if err := os.WriteFile(list, []byte(strings.Join(d.names[:n], "\n")+"\n"), 0o600); err != nil {
			return err
		}
		selection = []string{"input_file", list}
	}
	for i := 2; i <= 1+d.options.replicas; i++ {
		err := d.measured("replicas on "+mailstore(i), n, func() error {
			command := []string{"--sync", "MailReplica", "setAccountDestination", fqdn(i), strconv.Itoa(10 * i)}
			_, err := d.cluster.Carbonio(ctx, append(command, selection...)...)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// fill delivers the messages to a mailstore.
func (d *driver) fill(at int) error {
	if d.options.messages == 0 {
		return nil
	}
	return d.each(16, func(_ int, name string) error {
		c, err := d.lmtp(at)
		if err != nil {
			return err
		}
		defer c.Close()
		for n := range d.options.messages {
			if err := deliver(c, name, d.body(name, n)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

const idleFor = 30 * time.Second

// idle lets everything rest.
func (d *driver) idle(ctx context.Context) error {
	return d.measured("idle", int(idleFor/time.Second), func() error {
		return pause.For(ctx, idleFor)
	})
}

const singleRepeats = 20

// single promotes one account after another, there and back, with carbonio. What carbonio itself needs to start is told apart.
func (d *driver) single(ctx context.Context) error {
	var start, whole []time.Duration
	for i := range singleRepeats {
		begun := time.Now()
		command := exec.CommandContext(ctx, filepath.Join(d.cluster.Bin, "carbonio"), "--help")
		if err := command.Run(); err != nil {
			return err
		}
		start = append(start, time.Since(begun))
		name := d.names[(i/2)*len(d.names)/singleRepeats]
		to := fqdn(2 - i%2)
		begun = time.Now()
		if _, err := d.cluster.Carbonio(ctx, "MailReplica", "promoteAccounts", "accounts", name, "destination", to); err != nil {
			return err
		}
		whole = append(whole, time.Since(begun))
		if err := d.settled(ctx, name); err != nil {
			return err
		}
	}
	slices.Sort(start)
	slices.Sort(whole)
	mid := singleRepeats / 2
	say("single promotion: median %.1f ms, slowest %.1f ms; carbonio --help alone %.1f ms", ms(whole[mid]), ms(whole[singleRepeats-1]), ms(start[mid]))
	return nil
}

// settled waits until all replicas of an account are available.
func (d *driver) settled(ctx context.Context, name string) error {
	return d.count(ctx, "available again", 1, func(a *directory.Account) bool {
		return a.Name == name && !slices.ContainsFunc(d.copy.Replicas(a.ID), func(r directory.Replica) bool { return r.State != directory.Available })
	})
}

// restart kills mbox1 under a light load of deliveries and has it back; told is when it says that it is ready, which includes that
// every account it is home of is served, and when a delivery is taken.
func (d *driver) restart(ctx context.Context) error {
	loading, end := context.WithCancel(ctx)
	loaded := make(chan int, 1)
	go func() { loaded <- d.lightLoad(loading) }()
	time.Sleep(time.Second)
	if err := d.cluster.Kill(mailstore(1)); err != nil {
		end()
		return err
	}
	time.Sleep(200 * time.Millisecond)
	end()
	say("%d deliveries were taken before the kill", <-loaded)
	err := d.measured("restart to ready", len(d.names), func() error {
		if err := d.restartOne(ctx); err != nil {
			return err
		}
		c, err := d.lmtp(1)
		if err != nil {
			return err
		}
		defer c.Close()
		return deliver(c, d.names[0], d.body(d.names[0], int(time.Now().UnixNano())))
	})
	return err
}

// lightLoad delivers to mbox1 on one connection until something fails, and gives how many messages were taken.
func (d *driver) lightLoad(ctx context.Context) (taken int) {
	c, err := d.lmtp(1)
	if err != nil {
		return 0
	}
	defer c.Close()
	for i := 0; ctx.Err() == nil; i++ {
		name := d.names[i*7919%len(d.names)]
		if err := deliver(c, name, d.body(name, int(time.Now().UnixNano()))); err != nil {
			break
		}
		taken++
		time.Sleep(5 * time.Millisecond)
	}
	return taken
}

// ready waits until a mailstore says that it serves everything.
func (d *driver) ready(ctx context.Context, i int) error {
	for end := time.Now().Add(patience); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		answer, err := http.Get("http://" + d.address(i, "7071") + "/readyz")
		if err != nil {
			continue
		}
		var h struct{ Copies struct{ Primaries int } }
		err = json.NewDecoder(answer.Body).Decode(&h)
		answer.Body.Close()
		if err == nil && answer.StatusCode == http.StatusOK && h.Copies.Primaries > 0 {
			return nil
		}
	}
	return fmt.Errorf("%s is not ready", fqdn(i))
}

// promote kills mbox1 and promotes all its accounts, and looks that each is complete where it is now.
func (d *driver) promote(ctx context.Context) error {
	before, err := d.copies(ctx, 1)
	if err != nil {
		return err
	}
	if err := d.cluster.Kill(mailstore(1)); err != nil {
		return err
	}
	args := []string{"MailReplica", "promoteAccounts", "source_mail_host", fqdn(1)}
	if d.options.threads > 0 {
		args = append(args, "threads", strconv.Itoa(d.options.threads))
	}
	homes := 0
	for _, c := range before {
		if c.Primary == fqdn(1) {
			homes++
		}
	}
	err = d.measured("promotion with the source dead", homes, func() error {
		_, err := d.cluster.Carbonio(ctx, args...)
		return err
	})
	if err != nil {
		return err
	}
	if err := d.measured("the homes in the directory", homes, func() error {
		return d.count(ctx, "homes", homes, func(a *directory.Account) bool { return a.MailHost != fqdn(1) && before[a.ID].Primary == fqdn(1) })
	}); err != nil {
		return err
	}
	after, err := d.copies(ctx, 2)
	if err != nil {
		return err
	}
	for id, was := range before {
		if is := after[id]; was.Primary == fqdn(1) && (is.Primary != fqdn(2) || is.Epoch != was.Epoch+1 || is.Digest != was.Digest || is.Messages != was.Messages) {
			return fmt.Errorf("account %s is %+v on %s and was %+v", id, is, fqdn(2), was)
		}
	}
	say("all %d accounts are complete on %s", homes, fqdn(2))
	return nil
}
