package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// availableWait bounds how long replicas may take to become available and equal.
const availableWait = 60 * time.Second

// carbonioWait is longer than any command may take here.
const carbonioWait = 150 * time.Second

// carbonioSlow is worth a line in a test's log.
const carbonioSlow = 3 * time.Second

// result is what a command line answered.
type result struct {
	out, err string
	code     int
}

func (r result) String() string { return fmt.Sprintf("exit %d\n%s%s", r.code, r.out, r.err) }

// carbonio runs the admin CLI.
func (c *cluster) carbonio(args ...string) result {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), carbonioWait)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(bin, "carbonio"), args...)
	command.Cancel = func() error { // all of them say what they wait for
		for _, m := range c.stores {
			if child := m.now(); child != nil {
				_ = child.Signal(syscall.SIGQUIT) // it may have ended
			}
		}
		return command.Process.Signal(syscall.SIGQUIT)
	}
	command.Env = append(os.Environ(), "CARBONIO_CONFIG="+c.path("carbonio.yaml"))
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	begun := time.Now()
	err := command.Run()
	if took := time.Since(begun); took > carbonioSlow {
		c.t.Logf("carbonio %s took %s", strings.Join(args, " "), took)
	}
	if ctx.Err() != nil {
		c.t.Errorf("carbonio %s does not end within %s: %s", strings.Join(args, " "), carbonioWait, problems.String())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	return result{out.String(), problems.String(), command.ProcessState.ExitCode()}
}

// must runs a command that has to succeed.
func (c *cluster) must(args ...string) string {
	c.t.Helper()
	r := c.carbonio(args...)
	if r.code != 0 {
		c.t.Fatalf("carbonio %s: %s", strings.Join(args, " "), r)
	}
	return r.out
}

// refused runs a command that has to fail with exit status 1 and say why in one line that has all the words.
func (c *cluster) refused(words []string, args ...string) result {
	c.t.Helper()
	r := c.carbonio(args...)
	if r.code != 1 {
		c.t.Errorf("carbonio %s: got %s, want exit 1", strings.Join(args, " "), r)
	}
	for _, word := range words {
		if !strings.Contains(strings.ToLower(r.out+r.err), strings.ToLower(word)) {
			c.t.Errorf("carbonio %s: got %s, want a word of %q", strings.Join(args, " "), r, word)
		}
	}
	return r
}

func (c *cluster) createAccount(name string, home int) string {
	c.t.Helper()
	var answer struct {
		Response struct {
			Values []struct {
				ID string `json:"accountId"`
			} `json:"values"`
		} `json:"response"`
	}
	out := c.must("--json", "prov", "createAccount", name, password, "mailHost", c.store(home).fqdn)
	if err := json.Unmarshal([]byte(out), &answer); err != nil || len(answer.Response.Values) != 1 {
		c.t.Fatalf("createAccount: %v in %s", err, out)
	}
	return answer.Response.Values[0].ID
}

// accounts makes some accounts on the first mailstore, with replicas on the others: priority 10 on the second, and so on.
func (c *cluster) accounts(prefix string, n int) []string {
	c.t.Helper()
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s%02d@example.com", prefix, i+1)
		c.createAccount(names[i], 1)
	}
	for i := 2; i <= len(c.stores); i++ {
		c.must("--sync", "MailReplica", "setAccountDestination", c.store(i).fqdn, strconv.Itoa((i-1)*10), "accounts", strings.Join(names, ","))
	}
	return names
}

// status is what getAccountStatus says of an account.
type status struct {
	AccountName     string    `json:"accountName"`
	AccountMailHost string    `json:"accountMailHost"`
	Paused          bool      `json:"paused"`
	Sequence        *int64    `json:"sequence"`
	Epoch           *int64    `json:"epoch"`
	Digest          string    `json:"digest"`
	Replicas        []replica `json:"replicas"`
}

type replica struct {
	Destination string `json:"destination"`
	Available   bool   `json:"available"`
	State       string `json:"state"`
	Priority    int    `json:"priority"`
	Sequence    *int64 `json:"sequence"`
	Digest      string `json:"digest"`
}

func (c *cluster) status(names ...string) ([]status, error) {
	args := []string{"--json", "MailReplica", "getAccountStatus"}
	if len(names) > 0 {
		args = append(args, "accounts", strings.Join(names, ","))
	}
	r := c.carbonio(args...)
	if r.code != 0 {
		return nil, fmt.Errorf("getAccountStatus: %s", r)
	}
	var answer struct {
		Response struct {
			Values []status `json:"values"`
		} `json:"response"`
	}
	err := json.Unmarshal([]byte(r.out), &answer)
	return answer.Response.Values, err
}

// settled waits until each of the accounts has its home on the mailstore, n available replicas, and equal digests everywhere.
func (c *cluster) settled(home, n int, names []string) {
	c.t.Helper()
	eventually(c.t, availableWait, func() error { return c.equal(home, n, names) })
}

func (c *cluster) equal(home, n int, names []string) error {
	all, err := c.status()
	if err != nil {
		return err
	}
	found := 0
	for _, a := range all {
		if !slices.Contains(names, a.AccountName) {
			continue
		}
		found++
		if a.AccountMailHost != c.store(home).fqdn || len(a.Replicas) != n {
			return fmt.Errorf("%s is on %s with %d replicas, want %s and %d", a.AccountName, a.AccountMailHost, len(a.Replicas), c.store(home).fqdn, n)
		}
		for _, r := range a.Replicas {
			if !r.Available || a.Digest == "" || r.Digest != a.Digest {
				return fmt.Errorf("%s: the replica on %s is %s (available %v) with digest %s, the source has %s", a.AccountName, r.Destination, r.State, r.Available, r.Digest, a.Digest)
			}
		}
	}
	if found != len(names) {
		return fmt.Errorf("%d of %d accounts have replicas", found, len(names))
	}
	return nil
}

// promote makes the i-th mailstore the home of the accounts.
func (c *cluster) promote(i int, names []string) string {
	c.t.Helper()
	return c.must("MailReplica", "promoteAccounts", "accounts", strings.Join(names, ","), "destination", c.store(i).fqdn)
}

// operation is what getAllOperations says of one.
type operation struct {
	ID    string `json:"operationId"`
	Type  string `json:"type"`
	State string `json:"state"`
	Total int    `json:"total"`
	Done  int    `json:"done"`
}
