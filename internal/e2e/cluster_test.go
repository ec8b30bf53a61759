package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"go.yaml.in/yaml/v3"

	"mailreplica/internal/config"
)

const password = "correct horse"

// cluster is a broker and some mailstores in a folder of its own.
type cluster struct {
	t          testing.TB
	dir        string
	broker     *process // nil where Apache Kafka is in its place
	brokerAddr string
	stores     []*mailstore
	count      atomic.Int64 // of what the load has made
}

type mailstore struct {
	*process
	fqdn                    string
	lmtp, imap, admin, peer string
}

// newCluster starts a cluster of n mailstores whose brokers are configured. It ends with the test.
func newCluster(t testing.TB, n int, change ...func(*config.Config)) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir(), brokerAddr: freeAddress(t)}
	c.tokens()
	c.broker = &process{t: t, name: "broker", log: c.path("broker.log"), ports: []string{c.brokerAddr},
		args: []string{"broker", "--data", c.path("broker"), "--listen", c.brokerAddr}}
	if out, err := exec.Command(filepath.Join(bin, "mailstored"), "init", "--directory", c.path("directory", "directory.db")).CombinedOutput(); err != nil {
		t.Fatalf("mailstored init: %v\n%s", err, out)
	}
	embedded := func(f *config.Config) {
		f.Directory = c.path("directory", "directory.db")
		f.Volumes = []config.Volume{{Name: "blobs", Path: c.path("blobs"), Centralised: true}}
		f.PrimaryVolume = "blobs"
		f.Log.Replication, f.Log.Streams = 1, 4
	}
	for i := range n {
		c.configure(i+1, append([]func(*config.Config){embedded}, change...)...)
	}
	c.endpoints()
	t.Cleanup(c.end)
	c.broker.begin()
	for _, m := range c.stores {
		m.begin()
	}
	c.broker.ready()
	for _, m := range c.stores {
		m.ready()
	}
	c.must("config", "set", "global", "brokers", c.brokerAddr)
	return c
}

func (c *cluster) tokens() {
	c.write("admin.token", "0123456789abcdef-admin")
	c.write("peer.token", "0123456789abcdef-peer")
}

// configure adds the i-th mailstore, on the engines that the changes give it.
func (c *cluster) configure(i int, change ...func(*config.Config)) {
	name := fmt.Sprintf("mbox%d", i)
	m := &mailstore{fqdn: name + ".example.com", lmtp: freeAddress(c.t), imap: freeAddress(c.t), admin: freeAddress(c.t), peer: freeAddress(c.t)}
	f := config.Default()
	f.FQDN, f.Data = m.fqdn, c.path(name)
	f.Listen = config.Listen{LMTP: m.lmtp, IMAP: m.imap, Admin: m.admin, Peer: m.peer}
	f.Tokens = config.Tokens{Admin: c.path("admin.token"), Peer: c.path("peer.token")}
	f.IMAP.AllowPlaintext = true
	for _, do := range change {
		do(&f)
	}
	c.writeYAML(name+".yaml", f)
	m.process = &process{t: c.t, name: name, log: c.path(name + ".log"), ports: []string{m.lmtp, m.imap, m.admin, m.peer},
		args: []string{"serve", "--config", c.path(name + ".yaml")}}
	c.stores = append(c.stores, m)
}

// endpoints tells carbonio where the mailstores are.
func (c *cluster) endpoints() {
	endpoints := map[string]string{}
	for _, m := range c.stores {
		endpoints[m.fqdn] = m.admin
	}
	c.writeYAML("carbonio.yaml", map[string]any{"token": "0123456789abcdef-admin", "endpoints": endpoints})
}

// end kills everything, and looks for signs that a program was wrong.
func (c *cluster) end() {
	all := c.processes()
	for _, p := range all {
		p.kill()
	}
	for _, p := range all {
		for _, line := range p.complaints() {
			c.t.Errorf("%s: %s", p.name, line)
		}
	}
	if !c.t.Failed() {
		return
	}
	for _, p := range all {
		c.t.Logf("the end of the log of %s:\n%s", p.name, tail(p.log, 12))
	}
	if keep := os.Getenv("E2E_KEEP"); keep != "" {
		to := filepath.Join(keep, strings.ReplaceAll(c.t.Name(), "/", "_"))
		c.t.Logf("kept in %s: %v", to, os.CopyFS(to, os.DirFS(c.dir)))
	}
}

func (c *cluster) processes() []*process {
	var all []*process
	if c.broker != nil {
		all = append(all, c.broker)
	}
	for _, m := range c.stores {
		all = append(all, m.process)
	}
	return all
}

// store is the i-th mailstore, from 1.
func (c *cluster) store(i int) *mailstore { return c.stores[i-1] }

func (c *cluster) path(parts ...string) string {
	return filepath.Join(append([]string{c.dir}, parts...)...)
}

func (c *cluster) write(name, text string) string {
	c.t.Helper()
	if err := os.WriteFile(c.path(name), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return c.path(name)
}

func (c *cluster) writeYAML(name string, v any) {
	c.t.Helper()
	var text bytes.Buffer
	if err := yaml.NewEncoder(&text).Encode(v); err != nil {
		c.t.Fatal(err)
	}
	c.write(name, text.String())
}
