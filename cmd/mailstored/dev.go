package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"mailreplica/internal/admin"
	"mailreplica/internal/config"
	"mailreplica/internal/directory"
	"mailreplica/internal/engine"
	"mailreplica/internal/fault"
	"mailreplica/internal/subcommand"
)

const (
	devMailstoresMax = 100
	devStreamsMax    = 1_000
	devReadyWait     = 30 * time.Second
	devStopWait      = 20 * time.Second
	devAddress       = "127.0.0.10"
)

// cluster is a development cluster: ordinary processes of this program in one folder, on loopback addresses.
type cluster struct {
	folder     string
	count      int        // of mailstores
	first      netip.Addr // of the embedded broker; those of the mailstores follow
	program    string
	engines    engines
	streams    int32 // of the event log; 0: what suits the engines
	profiles   int   // port for profiles on each address; 0: none
	mailstores []*child
	stdout     io.Writer
}

// child is one process of the cluster.
type child struct {
	*engine.Process
	name string
}

// dev runs a whole cluster in the foreground until it is told to stop. It does not bring a killed process back: that is
// what the cluster is there to show.
func dev(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := subcommand.NewFlags(program, "dev", stderr)
	data := flags.String("data", "", "the `FOLDER` that keeps everything, across restarts")
	count := flags.Int("mailstores", 3, "how `MANY` mailstores to run")
	kind := flags.String("engines", enginesEmbedded, "the `ENGINES` they stand on: embedded (a broker, SQLite, a folder), or production (Kafka, MariaDB, S3)")
	first := flags.String("address", devAddress, "the first of the loopback `ADDRESSES` to use, another one for each cluster of a machine")
	streams := flags.Int("streams", 0, "how `MANY` streams the event log has if it is made now; if left out 1, and 16 on production engines")
	profiles := flags.Int("profile", 0, "answer Go's profiles at this `PORT` of each process's address")
	if err := flags.Read(args, "data"); err != nil {
		return err
	}
	if *profiles < 0 || *profiles > 65535 {
		return fault.New(fault.Invalid, "--profile is %d; want a port", *profiles)
	}
	if *streams < 0 || *streams > devStreamsMax {
		return fault.New(fault.Invalid, "--streams is %d; want 1 to %d", *streams, devStreamsMax)
	}
	if *count < 1 || *count > devMailstoresMax {
		return fault.New(fault.Invalid, "--mailstores is %d; want 1 to %d", *count, devMailstoresMax)
	}
	at, err := netip.ParseAddr(*first)
	if err != nil || !at.IsLoopback() || !at.Is4() {
		return fault.New(fault.Invalid, "--address is %q; want a loopback address like %s", *first, devAddress)
	}
	folder, err := filepath.Abs(*data)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "%s is no folder", *data)
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	c := &cluster{folder: folder, count: *count, first: at, program: program, streams: int32(*streams), profiles: *profiles, stdout: stdout}
	if err := c.chooseEngines(*kind); err != nil {
		return err
	}
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
	if err := c.engines.start(ctx); err != nil {
		return err
	}
	if err := c.configure(ctx); err != nil {
		return err
	}
	for i := range c.count {
		mailstore, err := c.run(short(i+1), "serve", "--config", c.path("etc", short(i+1)+".yaml"), "--profile", c.profile(i+1))
		if err != nil {
			return err
		}
		c.mailstores = append(c.mailstores, mailstore)
	}
	for i, mailstore := range c.mailstores {
		for _, port := range []string{"7025", "7143", "7071", "7072"} {
			if err := c.wait(ctx, mailstore, net.JoinHostPort(c.address(i+1), port)); err != nil {
				return err
			}
		}
	}
	return c.engines.volumes(ctx)
}

func short(i int) string { return fmt.Sprintf("mbox%d", i) }
func fqdn(i int) string  { return short(i) + ".example.com" }

// address is that of the i-th mailstore, and of the embedded broker for 0.
func (c *cluster) address(i int) string {
	at := c.first
	for range i {
		at = at.Next()
	}
	return at.String()
}

// profile is where a process answers profiles, of the numbers of address; empty if it does not.
func (c *cluster) profile(i int) string {
	if c.profiles == 0 {
		return ""
	}
	return net.JoinHostPort(c.address(i), strconv.Itoa(c.profiles))
}

// configure writes what is missing: tokens, the directory with its brokers, and the configuration files.
func (c *cluster) configure(ctx context.Context) error {
	token, err := c.token("admin")
	if err != nil {
		return err
	}
	if _, err := c.token("peer"); err != nil {
		return err
	}
	d, err := directory.Create(ctx, c.engines.directory())
	if err != nil {
		return err
	}
	defer d.Close()
	if brokers, _, err := d.GetConfig(ctx, "brokers"); err != nil {
		return err
	} else if brokers != c.engines.brokers() { // the first time, or they have other ports than the last
		if err := d.SetConfig(ctx, "brokers", c.engines.brokers()); err != nil {
			return err
		}
	}
	endpoints := map[string]string{}
	for i := 1; i <= c.count; i++ {
		endpoints[fqdn(i)] = net.JoinHostPort(c.address(i), "7071")
		m := c.mailstore(i)
		if err := c.engines.configure(ctx, &m, i); err != nil {
			return err
		}
		if err := writeYAML(c.path("etc", short(i)+".yaml"), m); err != nil {
			return err
		}
	}
	return writeYAML(c.path("etc", "carbonio.yaml"), map[string]any{"token": token, "endpoints": endpoints})
}

func (c *cluster) mailstore(i int) config.Config {
	m := config.Default()
	m.FQDN, m.Data = fqdn(i), c.path(short(i))
	m.PIDFile = c.path("run", short(i)+".pid")
	m.Listen = config.Listen{
		LMTP: net.JoinHostPort(c.address(i), "7025"), IMAP: net.JoinHostPort(c.address(i), "7143"),
		Admin: net.JoinHostPort(c.address(i), "7071"), Peer: net.JoinHostPort(c.address(i), "7072"),
	}
	m.Tokens = config.Tokens{Admin: c.path("etc", "admin.token"), Peer: c.path("etc", "peer.token")}
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

// admin is a client of the i-th mailstore's admin API.
func (c *cluster) admin(i int) (*admin.Client, error) {
	token, err := c.token("admin")
	if err != nil {
		return nil, err
	}
	return admin.NewClient(net.JoinHostPort(c.address(i), "7071"), token, nil)
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

// run starts a process of this program, with its output in a file of the log folder. An interrupt from the keyboard reaches this process
// alone, which then ends the others in order. If this one is killed, the others are: they would keep the addresses of the next.
func (c *cluster) run(name string, args ...string) (*child, error) {
	log := c.path("log", name+".log")
	process, err := engine.StartProcess(exec.Command(c.program, args...), log)
	if err != nil {
		return nil, err
	}
	go func() {
		<-process.Ended()
		if !process.Succeeded() {
			fmt.Fprintf(c.stdout, "%s ended: %s (see %s)\n", name, process.Result(), log)
		}
	}()
	return &child{process, name}, nil
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
		case <-p.Ended(): // whoever listens there
			return fault.New(fault.Internal, "%s has ended", p.name).WithHint("%s", hint)
		default:
		}
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fault.Wrap(fault.Internal, err, "%s does not listen on %s", p.name, addr).WithHint("%s", hint)
		case <-p.Ended():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (c *cluster) explain() {
	fmt.Fprintf(c.stdout, `ready

  export CARBONIO_CONFIG=%s PATH=%s:$PATH
  carbonio prov createAccount user@example.com secret mailHost %s
  carbonio MailReplica setAccountDestination %s 10 accounts user@example.com

mailstore N is mboxN.example.com on the N-th address after %s: LMTP 7025, IMAP 7143, admin API 7071, peer API 7072.
The event log is on %s. Logs are in %s, process ids in %s.
Kill one:     kill -9 $(cat %s)
Bring it back: mailstored serve --config %s
Interrupt (Ctrl-C) ends everything that this command started.
`, c.path("etc", "carbonio.yaml"), filepath.Dir(c.program), fqdn(1), fqdn(min(2, c.count)), c.first, c.engines.brokers(), c.path("log"), c.path("run"),
		c.path("run", "mbox1.pid"), c.path("etc", "mbox1.yaml"))
}

// stop ends the mailstores, side by side, and then what they stand on: so they do not see it go.
func (c *cluster) stop() {
	c.end(c.mailstores...)
	if err := c.engines.stop(); err != nil {
		fmt.Fprintf(c.stdout, "the engines cannot be ended: %v\n", err)
	}
}

// end ends processes in an orderly way, side by side, and those that do not end in time otherwise.
func (c *cluster) end(processes ...*child) {
	var all sync.WaitGroup
	for _, p := range processes {
		all.Go(func() { p.Stop(devStopWait) })
	}
	all.Wait()
}
