package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"mailreplica/internal/account"
	"mailreplica/internal/admin"
	"mailreplica/internal/credential"
	"mailreplica/internal/devcluster"
	"mailreplica/internal/directory"
	"mailreplica/internal/peer"
)

// patience bounds every wait of the driver.
const patience = 10 * time.Minute

// driver drives one cluster. It follows the directory as a mailstore does, with a copy of its own.
type driver struct {
	cluster *devcluster.Cluster
	options options

	directory *directory.Directory
	copy      *directory.Copy
	follower  *directory.Follower
	scratch   string
	token     string
	peers     *peer.Client
	names     []string
	hash      string   // of the password of every account
	figures   []figure // what was measured so far
}

func newDriver(ctx context.Context, c *devcluster.Cluster, o options) (*driver, error) {
	d := &driver{cluster: c, options: o, names: make([]string, o.accounts)}
	for i := range d.names {
		d.names[i] = fmt.Sprintf("user%06d@example.com", i)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(c.Folder, "etc", name+".token"))
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(text))
	}
	d.token, d.peers = read("admin"), peer.NewClient(read("peer"), nil)
	var err error
	if d.hash, err = credential.Hash(password); err != nil {
		return nil, err
	}
	if d.directory, err = directory.Open(directory.Options{Path: filepath.Join(c.Folder, "directory", "directory.db")}); err != nil {
		return nil, err
	}
	if d.scratch, err = os.MkdirTemp("", "mailreplica-scale-"); err != nil {
		return nil, err
	}
	if d.copy, err = directory.OpenCopy(ctx, filepath.Join(d.scratch, "copy.db"), directory.Options{}); err != nil {
		return nil, err
	}
	d.follower = directory.NewFollower(directory.FollowerConfig{Directory: d.directory, Copy: d.copy})
	return d, d.follower.Poll(ctx)
}

func (d *driver) close() {
	_ = errors.Join(d.copy.Close(), d.directory.Close(), os.RemoveAll(d.scratch)) // scratch files
}

// mailstore is the short name of the i-th mailstore, from 1.
func mailstore(i int) string { return fmt.Sprintf("mbox%d", i) }

func fqdn(i int) string { return mailstore(i) + ".example.com" }

func (d *driver) address(i int, port string) string {
	at := netip.MustParseAddr(d.cluster.Address)
	for range i {
		at = at.Next()
	}
	return net.JoinHostPort(at.String(), port)
}

func (d *driver) admin(i int) (*admin.Client, error) {
	return admin.NewClient(d.address(i, "7071"), d.token, nil)
}

// count waits until so many accounts fulfil a condition on the directory.
func (d *driver) count(ctx context.Context, what string, want int, holds func(*directory.Account) bool) error {
	said := time.Now()
	for end := time.Now().Add(patience); ; {
		if err := d.follower.Poll(ctx); err != nil {
			return err
		}
		n := len(d.copy.Accounts(holds))
		if n == want {
			return nil
		}
		if time.Since(said) > 10*time.Second {
			said = time.Now()
			say("%s: %d of %d", what, n, want)
		}
		if err := ctx.Err(); err != nil || time.Now().After(end) {
			return fmt.Errorf("%s: %d of %d: %w", what, n, want, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// each does something for every account, so many at once.
func (d *driver) each(workers int, do func(i int, name string) error) error {
	next := make(chan int)
	var failed error
	var mu sync.Mutex
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for i := range next {
				if err := do(i, d.names[i]); err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	for i := range d.names {
		next <- i
	}
	close(next)
	running.Wait()
	return failed
}

func (d *driver) lmtp(i int) (*smtp.Client, error) {
	conn, err := net.DialTimeout("tcp", d.address(i, "7025"), 2*time.Second)
	if err != nil {
		return nil, err
	}
	c := smtp.NewClientLMTP(conn)
	return c, c.Hello("scale.example.net")
}

func (d *driver) body(name string, n int) string {
	head := fmt.Sprintf("From: scale@example.net\r\nTo: %s\r\nSubject: message %d\r\nMessage-ID: <%d.%s>\r\n\r\n", name, n, n, name)
	const line = "A line of some text, as long as lines of mail are wont to be.\r\n"
	return head + strings.Repeat(line, max(1, (d.options.messageBytes-len(head))/len(line)))
}

func deliver(c *smtp.Client, to, body string) error {
	if err := c.Mail("scale@example.net", nil); err != nil {
		return err
	}
	if err := c.Rcpt(to, nil); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, body); err != nil {
		return err
	}
	return w.Close()
}

// ids are the ids of the accounts.
func (d *driver) ids() ([]account.ID, error) {
	all := make([]account.ID, len(d.names))
	for i, name := range d.names {
		a, known := d.copy.AccountByName(name)
		if !known {
			return nil, fmt.Errorf("there is no account %s: prepare first", name)
		}
		all[i] = a.ID
	}
	return all, nil
}

// copies asks a mailstore for its copies of all accounts.
func (d *driver) copies(ctx context.Context, i int) (map[account.ID]peer.CopyStatus, error) {
	ids, err := d.ids()
	if err != nil {
		return nil, err
	}
	all := map[account.ID]peer.CopyStatus{}
	for from := 0; from < len(ids); from += 5_000 {
		status, err := d.peers.Status(ctx, d.address(i, "7072"), ids[from:min(from+5_000, len(ids))])
		if err != nil {
			return nil, err
		}
		for _, c := range status.Copies {
			all[c.Account] = c
		}
	}
	return all, nil
}

// startProfiles begins a CPU profile of every mailstore and gives what ends and stores them.
func (d *driver) startProfiles(ctx context.Context, phase string) (stop func()) {
	if d.options.profile == "" {
		return func() {}
	}
	var over atomic.Bool
	var running sync.WaitGroup
	for i := 1; i <= d.cluster.Mailstores; i++ {
		running.Go(func() {
			for part := 0; ctx.Err() == nil && !over.Load(); part++ { // a profile ends with its seconds, and with the process
				name := filepath.Join(d.options.profile, fmt.Sprintf("%s-%s-%d.pprof", phase, mailstore(i), part))
				if err := d.profile(ctx, i, name); err != nil {
					time.Sleep(100 * time.Millisecond)
				}
			}
		})
	}
	return func() {
		over.Store(true)
		running.Wait()
	}
}

const (
	profileSeconds = "3"    // how long a profile lasts
	profilePort    = "6060" // of each mailstore's address
)

// profileArgs have a mailstore that is started again answer profiles as before.
func (d *driver) profileArgs(i int) []string {
	if d.options.profile == "" {
		return nil
	}
	return []string{"--profile", d.address(i, profilePort)}
}

func (d *driver) profile(ctx context.Context, i int, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.address(i, profilePort)+"/debug/pprof/profile?seconds="+profileSeconds, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("no profile: %s: %w", answer.Status, err)
	}
	return os.WriteFile(path, text, 0o600)
}
