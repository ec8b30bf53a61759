package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	readyWait    = 60 * time.Second
	availableFor = 60 * time.Second
)

// cluster is the development cluster that the demonstration runs, in a folder that goes with it.
type cluster struct {
	bin, folder string
	dev         *exec.Cmd
	returned    *exec.Cmd // the mailstore that was killed and started again
}

// startCluster runs mailstored dev and returns when it prints ready.
func startCluster(bin, engines string) (*cluster, error) {
	folder, err := os.MkdirTemp("", "mailreplica-demo-")
	if err != nil {
		return nil, err
	}
	c := &cluster{bin: bin, folder: folder}
	c.dev = exec.Command(filepath.Join(bin, "mailstored"), "dev", "--data", folder, "--mailstores", "3", "--engines", engines)
	out, err := c.dev.StdoutPipe()
	if err != nil {
		return c, err
	}
	var problems bytes.Buffer
	c.dev.Stderr = &problems
	if err := c.dev.Start(); err != nil {
		return c, err
	}
	ready := make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if lines.Text() == "ready" {
				ready <- nil
				break
			}
		}
		_, _ = io.Copy(io.Discard, out) // what it says later is in its logs
		select {
		case ready <- fmt.Errorf("the cluster ended: %s", strings.TrimSpace(problems.String())):
		default:
		}
	}()
	select {
	case err := <-ready:
		return c, err
	case <-time.After(readyWait):
		return c, fmt.Errorf("the cluster is not ready after %s; its logs are in %s/log", readyWait, folder)
	}
}

// stop ends everything. The folder stays if the demonstration failed: its logs say why.
func (c *cluster) stop(keep bool) {
	for _, process := range []*exec.Cmd{c.returned, c.dev} {
		if process == nil || process.Process == nil {
			continue
		}
		_ = process.Process.Signal(syscall.SIGINT) // it may have ended by itself
		_ = process.Wait()
	}
	if keep {
		fmt.Println("logs and data are kept in", c.folder)
		return
	}
	_ = os.RemoveAll(c.folder)
}

// carbonio runs one command of the admin CLI and returns what it prints.
func (c *cluster) carbonio(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, filepath.Join(c.bin, "carbonio"), args...)
	command.Env = append(os.Environ(), "CARBONIO_CONFIG="+filepath.Join(c.folder, "etc", "carbonio.yaml"))
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil {
		return out.String(), fmt.Errorf("carbonio %s: %w\n%s%s", strings.Join(args, " "), err, out.String(), problems.String())
	}
	return out.String(), nil
}

// kill ends a mailstore as a power cut would.
func (c *cluster) kill(name string) error {
	text, err := os.ReadFile(filepath.Join(c.folder, "run", name+".pid"))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

// restart starts a mailstore that was killed, as an operator would.
func (c *cluster) restart(name string) error {
	log, err := os.OpenFile(filepath.Join(c.folder, "log", name+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	c.returned = exec.Command(filepath.Join(c.bin, "mailstored"), "serve", "--config", filepath.Join(c.folder, "etc", name+".yaml"))
	c.returned.Stdout, c.returned.Stderr = log, log
	return c.returned.Start()
}

// status is what getAccountStatus says of an account; the fields used here.
type status struct {
	AccountName     string `json:"accountName"`
	AccountMailHost string `json:"accountMailHost"`
	Sequence        *int64 `json:"sequence"`
	Digest          string `json:"digest"`
	Replicas        []struct {
		Destination string `json:"destination"`
		Available   bool   `json:"available"`
		Sequence    *int64 `json:"sequence"`
		Digest      string `json:"digest"`
	} `json:"replicas"`
}

func (c *cluster) status(ctx context.Context) ([]status, error) {
	text, err := c.carbonio(ctx, "--json", "MailReplica", "getAccountStatus")
	if err != nil {
		return nil, err
	}
	var answer struct {
		Response struct {
			Values []status `json:"values"`
		} `json:"response"`
	}
	return answer.Response.Values, json.Unmarshal([]byte(text), &answer)
}

// settled waits until every account has n available replicas whose digests equal the primary's.
func (c *cluster) settled(ctx context.Context, accounts, n int) error {
	problem := "no answer yet"
	for end := time.Now().Add(availableFor); time.Now().Before(end); sleep(ctx, 200*time.Millisecond) {
		all, err := c.status(ctx)
		if err != nil {
			return err
		}
		if problem = unsettled(all, accounts, n); problem == "" {
			return nil
		}
	}
	return fmt.Errorf("not every replica is available and equal: %s", problem)
}

func unsettled(all []status, accounts, n int) string {
	if len(all) != accounts {
		return fmt.Sprintf("%d accounts with replicas, want %d", len(all), accounts)
	}
	for _, a := range all {
		if len(a.Replicas) != n {
			return fmt.Sprintf("%s has %d replicas, want %d", a.AccountName, len(a.Replicas), n)
		}
		for _, r := range a.Replicas {
			if !r.Available {
				return fmt.Sprintf("the replica of %s on %s is not available", a.AccountName, r.Destination)
			}
			if a.Digest == "" || r.Digest != a.Digest {
				return fmt.Sprintf("the replica of %s on %s has digest %s, want %s", a.AccountName, r.Destination, r.Digest, a.Digest)
			}
		}
	}
	return ""
}
