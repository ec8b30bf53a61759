package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/config"
	"mailreplica/internal/engine/kafka"
	"mailreplica/internal/engine/mariadb"
	"mailreplica/internal/engine/s3"
)

// enginesWait bounds how long the engines may take to start, all of them side by side.
const enginesWait = 3 * time.Minute

// production is three mailstores on the engines of production. The metadata of the first has a server of its own, as every
// mailstore's has in production, so that it can be lost alone.
type production struct {
	*cluster
	kafka     *kafka.Cluster
	directory *mariadb.Server
	metadata  *mariadb.Server // of the first mailstore
	others    *mariadb.Server // of the other two
	s3        *s3.Gateway

	names   []string // accounts of the first mailstore with copies on the others
	ledgers []*ledger
	probe   *ledger // an account like them that the load leaves alone
	alone   string  // an account of the first mailstore without a copy
}

// newProduction starts the engines and sets a platform up on them, with the commands of docs/operations.md. It ends with the test.
func newProduction(t *testing.T) *production {
	t.Helper()
	p := &production{cluster: &cluster{t: t, dir: t.TempDir()}}
	t.Cleanup(p.endEngines)
	p.startEngines()
	p.tokens()
	p.write("brokers.password", p.kafka.Password())
	databases := map[*mariadb.Server][]string{p.directory: {"mailreplica_directory"}, p.metadata: {"mailreplica_mbox1"}, p.others: {"mailreplica_mbox2", "mailreplica_mbox3"}}
	for server, names := range databases {
		for _, name := range names {
			if err := server.CreateDatabase(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, server := range []*mariadb.Server{p.metadata, p.others, p.others} {
		p.configure(i+1, func(f *config.Config) {
			f.DirectoryMariaDB = p.database(p.directory, "mailreplica_directory")
			f.MetadataMariaDB = p.database(server, fmt.Sprintf("mailreplica_mbox%d", i+1))
			f.Log.Replication, f.Log.Streams = 3, 4
			f.Log.TLS, f.Log.CA = true, p.kafka.CAFile()
			f.Log.SASL, f.Log.User, f.Log.PasswordFile = "SCRAM-SHA-512", p.kafka.Username(), p.path("brokers.password")
		})
	}
	p.cluster.endpoints()
	t.Cleanup(p.end)
	for _, want := range []string{"is ready", "is there already"} {
		out, _ := exec.Command(filepath.Join(bin, "mailstored"), "init", "--config", p.path("mbox1.yaml")).CombinedOutput()
		if !strings.Contains(string(out), want) {
			t.Fatalf("mailstored init says %q, want that the directory %s", out, want)
		}
	}
	for _, m := range p.stores {
		m.begin()
	}
	for _, m := range p.stores {
		m.ready()
	}
	p.volumes()
	p.must("MailReplica", "test", strings.Join(p.kafka.Addrs(), ","), "authentication", "SCRAM-SHA-512:"+p.kafka.Username()+":file:"+p.path("brokers.password"))
	p.must("config", "set", "global", "brokers", strings.Join(p.kafka.Addrs(), ","))
	p.names = p.accounts("production", 4)
	p.ledgers = newLedgers(p.names)
	p.probe = newLedger(p.accounts("probe", 1)[0])
	p.alone = "alone@example.com"
	p.createAccount(p.alone, 1)
	return p
}

func (p *production) startEngines() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), enginesWait)
	defer cancel()
	var failed [5]error
	var all sync.WaitGroup
	all.Go(func() {
		p.kafka, failed[0] = kafka.Start(ctx, kafka.Options{Folder: p.path("kafka"), TLS: true, SCRAM: true})
	})
	for i, server := range []struct {
		at   **mariadb.Server
		name string
	}{{&p.directory, "maria-directory"}, {&p.metadata, "maria-mbox1"}, {&p.others, "maria-others"}} {
		all.Go(func() { *server.at, failed[i+1] = mariadb.Start(ctx, mariadb.Options{Folder: p.path(server.name)}) })
	}
	all.Go(func() { p.s3, failed[4] = s3.Start(ctx, s3.Options{Folder: p.path("s3")}) })
	all.Wait()
	if err := errors.Join(failed[:]...); err != nil {
		p.t.Fatal(err)
	}
}

// endEngines ends those that were started.
func (p *production) endEngines() {
	var problems []error
	if p.kafka != nil {
		problems = append(problems, p.kafka.Close())
	}
	for _, server := range []*mariadb.Server{p.directory, p.metadata, p.others} {
		if server != nil {
			problems = append(problems, server.Close())
		}
	}
	if p.s3 != nil {
		problems = append(problems, p.s3.Close())
	}
	if err := errors.Join(problems...); err != nil {
		p.t.Error(err)
	}
}

func (p *production) database(server *mariadb.Server, name string) *config.MariaDB {
	file := name + ".password"
	p.write(file, server.Password())
	return &config.MariaDB{Address: server.Address(), Database: name, User: server.User(), PasswordFile: p.path(file)}
}

// volumes gives every mailstore a centralised volume in a bucket. What a replica needs is said where it is missing.
func (p *production) volumes() {
	p.t.Helper()
	const bucket, label, volume = "mail", "central-bucket", "central"
	if err := p.s3.CreateBucket(p.t.Context(), bucket); err != nil {
		p.t.Fatal(err)
	}
	secret := "file:" + p.write("s3.secret", p.s3.Secret())
	p.must("core", "doCreateBucket", "S3", bucket, p.s3.AccessKey(), secret, label, p.s3.Region(), "url", p.s3.Endpoint())
	for _, m := range p.stores {
		if out := p.must("--host", m.fqdn, "core", "testS3Connection", label); !strings.Contains(out, "result connection ok") {
			p.t.Errorf("testS3Connection on %s: %s", m.fqdn, out)
		}
	}
	p.must("--host", p.store(1).fqdn, "powerstore", "doCreateVolume", "S3", volume, "primary", label, "centralized", "true", "volume_prefix", "site1")
	for _, m := range p.stores[1:] {
		p.must("--host", m.fqdn, "powerstore", "doCreateVolume", "Centralized", p.store(1).fqdn, volume)
	}
	if out := p.must("core", "listBuckets", "all"); strings.Contains(out, p.s3.Secret()) {
		p.t.Error("listBuckets shows the secret")
	}
}

// end looks also for what must never stand in a log.
func (p *production) end() {
	p.cluster.end()
	for _, m := range p.stores {
		text, err := os.ReadFile(m.log)
		if err != nil {
			p.t.Error(err)
		}
		for _, secret := range []string{p.s3.Secret(), p.kafka.Password(), p.directory.Password(), p.metadata.Password(), p.others.Password()} {
			if strings.Contains(string(text), secret) {
				p.t.Errorf("the log of %s holds a secret", m.name)
			}
		}
	}
}

// step is one part of a test on the cluster. The next one needs what it leaves behind: after a failure there is none.
func (p *production) step(t *testing.T, name string, do func(t *testing.T)) {
	t.Helper()
	ok := t.Run(name, func(t *testing.T) {
		p.as(t)
		do(t)
	})
	p.as(t)
	if !ok {
		t.FailNow()
	}
}

func (p *production) as(t testing.TB) {
	p.t = t
	for _, process := range p.processes() {
		process.t = t
	}
}

// under does something under load, and looks for every acknowledged change afterwards, on a cluster that is whole again.
func (p *production) under(do func(work *load), stores ...int) {
	p.t.Helper()
	work := p.load(p.ledgers, 3, 2, stores...)
	work.more(10)
	do(work)
	work.more(20)
	work.finish()
	p.whole(1)
	p.verify(1, append([]*ledger{p.probe}, p.ledgers...))
}

// whole waits until the accounts live on a mailstore, and all copies are available and equal.
func (p *production) whole(home int) {
	p.t.Helper()
	p.settled(home, 2, append([]string{p.probe.name}, p.names...))
}

// answer delivers to the probe's account on a mailstore, and fails the test if the answer is another one. A message that is
// refused may come to be there all the same.
func (p *production) answer(i int, want string) {
	p.t.Helper()
	id := fmt.Sprintf("p-%d", p.count.Add(1))
	message := tagged(id, plain("probe "+id))
	at := p.probe.sending(id, message, place{folder: "INBOX"})
	begun := time.Now()
	err := deliver(p.store(i).lmtp, message, p.probe.name)
	if err == nil {
		p.probe.arrived(at, 0)
	}
	if got := replyOf(err); got != want {
		p.t.Errorf("mbox%d answers a delivery with %q (%v) after %s, want %q", i, got, err, time.Since(begun), want)
	}
}

// unavailable runs a command that has to be answered NO [UNAVAILABLE].
func unavailable(t testing.TB, c *client, format string, args ...any) {
	t.Helper()
	if _, answer, err := c.do(format, args...); err == nil || !strings.HasPrefix(answer, "NO [UNAVAILABLE]") {
		t.Errorf("%s is answered %q, %v, want NO [UNAVAILABLE]", fmt.Sprintf(format, args...), answer, err)
	}
}

// appendRefused tries to store a message in the probe's account, which has to be refused as unavailable.
func (p *production) appendRefused(c *client) {
	p.t.Helper()
	id := fmt.Sprintf("p-%d", p.count.Add(1))
	message := tagged(id, plain("probe "+id))
	p.probe.sending(id, message, place{folder: "INBOX"})
	if answer, err := c.appendMessage("INBOX", "", message); err == nil || !strings.HasPrefix(err.Error(), "NO [UNAVAILABLE]") {
		p.t.Errorf("APPEND is answered %q, %v, want NO [UNAVAILABLE]", answer, err)
	}
}

// loginSoon logs in on a mailstore that has just started, and may have to read the log first.
func (p *production) loginSoon(i int, name string) (session *client) {
	p.t.Helper()
	eventually(p.t, availableWait, func() (err error) {
		if session, err = login(p.store(i).imap, name); err != nil && !strings.HasPrefix(err.Error(), "NO [UNAVAILABLE]") {
			p.t.Fatalf("LOGIN is answered %v, want NO [UNAVAILABLE] if anything", err)
		}
		return err
	})
	p.t.Cleanup(session.close)
	return session
}

func (p *production) ok(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}
