package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"

	"mailreplica/internal/config"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

const (
	devMailstoresMax = 100
	devReadyWait     = 30 * time.Second
	devStopWait      = 20 * time.Second
	devBroker        = "127.0.0.10:9092"
)

// cluster is a development cluster: ordinary processes of this program in one folder, on loopback addresses.
type cluster struct {
	folder     string
	mailstores int
	program    string
	children   []*child
	stdout     io.Writer
}

// child is one process of the cluster.
type child struct {
	name    string
	process *os.Process
	ended   chan struct{} // closed when it has ended
}

// dev runs a whole cluster in the foreground until it is told to stop. It does not bring a killed process back: that is
// what the cluster is there to show.
func dev(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("dev", flag.ContinueOnError)
	data := flags.String("data", "", "the `FOLDER` that keeps everything, across restarts")
	count := flags.Int("mailstores", 3, "how many mailstores to run")
	if err := parse(flags, args, stderr, "data"); err != nil {
		return err
	}
	if *count < 1 || *count > devMailstoresMax {
		return fault.New(fault.Invalid, "--mailstores is %d; want 1 to %d", *count, devMailstoresMax)
	}
	folder, err := filepath.Abs(*data)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "%s is no folder", *data)
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	c := &cluster{folder: folder, mailstores: *count, program: program, stdout: stdout}
	defer c.stop()
	if err := c.start(ctx); err != nil {
		return err
	}
	c.explain()
	<-ctx.Done()
	fmt.Fprintln(stdout, "stopping")
	return nil
}

func (c *cluster) path(parts ...string) string {
	return filepath.Join(append([]string{c.folder}, parts...)...)
}

func (c *cluster) start(ctx context.Context) error {
	for _, name := range []string{"etc", "run", "log"} {
		if err := os.MkdirAll(c.path(name), 0o700); err != nil {
			return fault.Wrap(fault.Invalid, err, "the folder %s cannot be made", c.path(name))
		}
	}
	if err := c.configure(ctx); err != nil {
		return err
	}
	broker, err := c.run("broker", "broker", "--data", c.path("broker"), "--listen", devBroker, "--pid-file", c.path("run", "broker.pid"))
	if err != nil {
		return err
	}
	if err := c.wait(ctx, broker, devBroker); err != nil {
		return err
	}
	mailstores := make([]*child, c.mailstores)
	for i := range mailstores {
		if mailstores[i], err = c.run(short(i+1), "serve", "--config", c.path("etc", short(i+1)+".yaml")); err != nil {
			return err
		}
	}
	for i, mailstore := range mailstores {
		for _, port := range []string{"7025", "7143", "7071", "7072"} {
			if err := c.wait(ctx, mailstore, net.JoinHostPort(address(i+1), port)); err != nil {
				return err
			}
		}
	}
	return c.wait(ctx, broker, devBroker) // another one that had the address answers for ours, which has ended by now
}

func short(i int) string   { return fmt.Sprintf("mbox%d", i) }
func fqdn(i int) string    { return short(i) + ".example.com" }
func address(i int) string { return fmt.Sprintf("127.0.0.%d", 10+i) }

// configure writes what is missing: tokens, the directory with its brokers, and the configuration files.
func (c *cluster) configure(ctx context.Context) error {
	admin, err := c.token("admin")
	if err != nil {
		return err
	}
	if _, err := c.token("peer"); err != nil {
		return err
	}
	d, err := directory.Create(ctx, directory.Options{Path: c.path("directory", "directory.db")})
	if err != nil {
		return err
	}
	defer d.Close()
	if _, set, err := d.GetConfig(ctx, "brokers"); err != nil {
		return err
	} else if !set {
		if err := d.SetConfig(ctx, "brokers", devBroker); err != nil {
			return err
		}
	}
	endpoints := map[string]string{}
	for i := 1; i <= c.mailstores; i++ {
		endpoints[fqdn(i)] = net.JoinHostPort(address(i), "7071")
		if err := writeYAML(c.path("etc", short(i)+".yaml"), c.mailstore(i)); err != nil {
			return err
		}
	}
	return writeYAML(c.path("etc", "carbonio.yaml"), map[string]any{"token": admin, "endpoints": endpoints})
}

func (c *cluster) mailstore(i int) config.Config {
	m := config.Default()
	m.FQDN, m.Data, m.Directory = fqdn(i), c.path(short(i)), c.path("directory", "directory.db")
	m.PIDFile = c.path("run", short(i)+".pid")
	m.Listen = config.Listen{
		LMTP: net.JoinHostPort(address(i), "7025"), IMAP: net.JoinHostPort(address(i), "7143"),
		Admin: net.JoinHostPort(address(i), "7071"), Peer: net.JoinHostPort(address(i), "7072"),
	}
	m.Tokens = config.Tokens{Admin: c.path("etc", "admin.token"), Peer: c.path("etc", "peer.token")}
	m.Volumes = []config.Volume{{Name: "blobs", Path: c.path("blobs"), Centralised: true}}
	m.PrimaryVolume = "blobs"
	m.Log.Replication, m.Log.Streams = 1, 8 // one broker, whose syncs more streams would only multiply
	m.IMAP.AllowPlaintext = true
	return m
}

// token gives a token's text, and makes it the first time.
func (c *cluster) token(name string) (string, error) {
	path := c.path("etc", name+".token")
	if text, err := os.ReadFile(path); err == nil {
		return strings.TrimSpace(string(text)), nil
	}
	var random [24]byte
	_, _ = rand.Read(random[:]) // never fails since Go 1.24
	text := hex.EncodeToString(random[:])
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		return "", fault.Wrap(fault.Invalid, err, "the token %s cannot be written", path)
	}
	return text, nil
}

func writeYAML(path string, v any) error {
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	err := encoder.Encode(v)
	if err == nil {
		err = os.WriteFile(path, text.Bytes(), 0o600)
	}
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "%s cannot be written", path)
	}
	return nil
}

// run starts a process of this program, with its output in a file of the log folder. It is in a process group of its own, so
// that an interrupt from the keyboard reaches this process alone, which then ends the others in order.
func (c *cluster) run(name string, args ...string) (*child, error) {
	log, err := os.OpenFile(c.path("log", name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the log of %s cannot be written", name)
	}
	defer log.Close()
	command := exec.Command(c.program, args...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "%s cannot be started", name)
	}
	p := &child{name: name, process: command.Process, ended: make(chan struct{})}
	c.children = append(c.children, p)
	go func() {
		if err := command.Wait(); err != nil {
			fmt.Fprintf(c.stdout, "%s ended: %v (see %s)\n", name, err, c.path("log", name+".log"))
		}
		close(p.ended)
	}()
	return p, nil
}

// wait returns when something listens on an address of a child that is alive.
func (c *cluster) wait(ctx context.Context, p *child, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, devReadyWait)
	defer cancel()
	hint := "its log says why: " + c.path("log", p.name+".log")
	dialer := &net.Dialer{Timeout: time.Second}
	for {
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		select {
		case <-p.ended:
			return fault.New(fault.Internal, "%s has ended", p.name).WithHint("%s", hint)
		default:
		}
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fault.Wrap(fault.Internal, err, "%s does not listen on %s", p.name, addr).WithHint("%s", hint)
		case <-p.ended:
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (c *cluster) explain() {
	fmt.Fprintf(c.stdout, `ready

  export CARBONIO_CONFIG=%s
  carbonio prov createAccount user@example.com secret mailHost %s
  carbonio MailReplica setAccountDestination %s 10 accounts user@example.com

mailstore N is mboxN.example.com on 127.0.0.(10+N): LMTP 7025, IMAP 7143, admin API 7071, peer API 7072.
The broker is on %s. Logs are in %s, process ids in %s.
Kill one:     kill -9 $(cat %s)
Bring it back: mailstored serve --config %s
Interrupt (Ctrl-C) ends everything that this command started.
`, c.path("etc", "carbonio.yaml"), fqdn(1), fqdn(min(2, c.mailstores)), devBroker, c.path("log"), c.path("run"),
		c.path("run", "mbox1.pid"), c.path("etc", "mbox1.yaml"))
}

// stop ends the children: the mailstores first, so that they do not see the broker go.
func (c *cluster) stop() {
	deadline := time.After(devStopWait)
	for i := len(c.children) - 1; i >= 0; i-- {
		c.signal(c.children[i], syscall.SIGTERM)
		if i > 1 {
			continue // the mailstores end side by side, the broker after them
		}
		for _, p := range c.children[i:] {
			select {
			case <-p.ended:
			case <-deadline:
				c.signal(p, syscall.SIGKILL)
				<-p.ended
			}
		}
	}
}

func (c *cluster) signal(p *child, s syscall.Signal) {
	if err := p.process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		fmt.Fprintf(c.stdout, "%s cannot be ended: %v\n", p.name, err)
	}
}
