package system

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/admin"
	"mailreplica/internal/bench/load"
	"mailreplica/internal/devcluster"
	"mailreplica/internal/peer"
)

// Mailreplica is this project's development cluster, in one of its ways.
type Mailreplica struct {
	Bin        string // folder of its programs
	Engines    string // embedded or production
	Replicated bool
}

// Name implements System.
func (m Mailreplica) Name() string {
	switch {
	case !m.Replicated:
		return "unreplicated"
	case m.Engines == "production":
		return "production"
	}
	return "replicated"
}

// Title implements System.
func (m Mailreplica) Title() string {
	switch {
	case !m.Replicated:
		return "Mailreplica, unreplicated"
	case m.Engines == "production":
		return "Mailreplica, Kafka, MariaDB, S3"
	}
	return "Mailreplica, replicated"
}

// Settings implements System.
func (m Mailreplica) Settings() []string {
	engines := "a broker of its own that syncs what it confirms, SQLite, a folder of message bodies; everything as `mailstored dev` sets it up"
	if m.Engines == "production" {
		engines = "three Kafka brokers, of which two must have a record (`acks=all`, `min.insync.replicas=2`; they do not sync, as Kafka ships), with TLS and SCRAM; " +
			"MariaDB as it ships; an S3 server; everything as `mailstored dev --engines production` sets it up"
	}
	if !m.Replicated {
		return []string{engines, "no replica: a change is synced to this mailstore's disk before it is acknowledged"}
	}
	return []string{engines, "synchronous: a change is acknowledged when the log has it; message bodies are synced before. A replica is on a second mailstore"}
}

// Version implements System.
func (m Mailreplica) Version(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(m.Bin, "mailstored"), "version").Output()
	if err != nil {
		return "", fmt.Errorf("mailstored in %s (make build): %w", m.Bin, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// mailreplica is a cluster that runs.
type mailreplica struct {
	folder   string
	cluster  *devcluster.Cluster
	source   string // addresses of the mailstores
	replica  string
	admin    *admin.Client
	peer     *peer.Client
	accounts []load.Account

	mu  sync.Mutex
	ids map[string]account.ID // by address
}

// Ports of a development cluster, and its programs' names for its mailstores.
const (
	devLMTP, devIMAP, devAdmin, devPeer, devBroker = "7025", "7143", "7071", "7072", "9092"

	devSource, devReplica = "mbox1." + domain, "mbox2." + domain

	operationWait = 2 * time.Minute
	look          = time.Millisecond
	createAtOnce  = 4
)

// unreplicated hides what a replica is needed for.
type unreplicated struct{ Running }

// Start implements System.
func (m Mailreplica) Start(ctx context.Context, folder string, accounts int) (Running, error) {
	r := &mailreplica{folder: folder, accounts: addressed(accounts), ids: map[string]account.ID{}}
	if err := r.start(ctx, m); err != nil {
		r.Stop()
		return nil, err
	}
	if !m.Replicated {
		return unreplicated{r}, nil
	}
	return r, nil
}

func (r *mailreplica) start(ctx context.Context, m Mailreplica) error {
	addrs, err := addresses(3, devLMTP, devIMAP, devAdmin, devPeer, devBroker)
	if err != nil {
		return err
	}
	r.source, r.replica = addrs[1], addrs[2]
	mailstores := 1
	if m.Replicated {
		mailstores = 2
	}
	r.cluster, err = devcluster.Start(ctx, devcluster.Options{
		Bin: m.Bin, Folder: filepath.Join(r.folder, "data"), Mailstores: mailstores, Engines: m.Engines, Address: addrs[0],
	})
	if err != nil {
		return err
	}
	if err := r.clients(); err != nil {
		return err
	}
	if err := r.createAll(ctx); err != nil {
		return err
	}
	if !m.Replicated {
		return nil
	}
	return r.replicate(ctx, r.accounts)
}

func (r *mailreplica) clients() (err error) {
	tokens := map[string]string{"admin": "", "peer": ""}
	for name := range tokens {
		text, err := os.ReadFile(filepath.Join(r.folder, "data", "etc", name+".token"))
		if err != nil {
			return err
		}
		tokens[name] = strings.TrimSpace(string(text))
	}
	r.peer = peer.NewClient(tokens["peer"], nil)
	r.admin, err = admin.NewClient(net.JoinHostPort(r.source, devAdmin), tokens["admin"], nil)
	return err
}

// createAll makes the accounts side by side: hashing a password takes long, on purpose.
func (r *mailreplica) createAll(ctx context.Context) error {
	problems := make([]error, len(r.accounts))
	turns := make(chan struct{}, createAtOnce)
	var creating sync.WaitGroup
	for i, who := range r.accounts {
		turns <- struct{}{}
		creating.Go(func() {
			problems[i] = r.create(ctx, who)
			<-turns
		})
	}
	creating.Wait()
	for _, err := range problems {
		if err != nil {
			return err // the others have the same reason
		}
	}
	return nil
}

func (r *mailreplica) create(ctx context.Context, who load.Account) error {
	made, err := r.admin.CreateAccount(ctx, admin.CreateAccount{Name: who.Address, Password: who.Password, MailHost: devSource})
	if err != nil {
		return err
	}
	id, err := account.ParseID(made.ID)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids[who.Address] = id
	return err
}

// replicate makes replicas and waits until they are complete.
func (r *mailreplica) replicate(ctx context.Context, accounts []load.Account) error {
	names := make([]string, len(accounts))
	for i, who := range accounts {
		names[i] = who.Address
	}
	started, err := r.admin.SetDestination(ctx, admin.SetDestination{Selection: admin.Selection{Accounts: names}, Destination: devReplica, Priority: 10})
	if err != nil {
		return err
	}
	return r.finish(ctx, started)
}

// finish waits until an operation has succeeded.
func (r *mailreplica) finish(ctx context.Context, started admin.Started) error {
	ctx, cancel := context.WithTimeout(ctx, operationWait)
	defer cancel()
	for {
		op, err := r.admin.GetOperation(ctx, started.OperationID)
		switch {
		case err != nil:
			return err
		case op.Finished() && op.Done == op.Total && op.Failed == 0:
			return nil
		case op.Finished():
			return fmt.Errorf("%s has ended %s: %d of %d, %s", op.Type, op.State, op.Done, op.Total, op.Error)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is %s: %w", op.Type, op.State, context.Cause(ctx))
		case <-time.After(look):
		}
	}
}

func (r *mailreplica) LMTP() string             { return net.JoinHostPort(r.source, devLMTP) }
func (r *mailreplica) IMAP() string             { return net.JoinHostPort(r.source, devIMAP) }
func (r *mailreplica) Accounts() []load.Account { return r.accounts }

// copyOn watches a copy on the replica's mailstore by its peer API, for IMAP sessions for it are passed on to the home.
type copyOn struct {
	r  *mailreplica
	id account.ID
}

// Watch implements Replicated.
func (r *mailreplica) Watch(_ context.Context, who load.Account) (load.Watcher, error) {
	r.mu.Lock()
	id, known := r.ids[who.Address]
	r.mu.Unlock()
	if !known {
		return nil, fmt.Errorf("there is no account %s", who.Address)
	}
	return copyOn{r, id}, nil
}

// Messages is how many messages are committed in the replica's database.
func (c copyOn) Messages(ctx context.Context) (int, error) {
	row, err := c.r.copyOf(ctx, c.id)
	return int(row.Messages), err
}

func (copyOn) Close() error { return nil }

// copyOf asks the replica's mailstore for its copy of an account.
func (r *mailreplica) copyOf(ctx context.Context, id account.ID) (peer.CopyStatus, error) {
	status, err := r.peer.Status(ctx, net.JoinHostPort(r.replica, devPeer), []account.ID{id})
	if err != nil {
		return peer.CopyStatus{}, err
	}
	if len(status.Copies) != 1 {
		return peer.CopyStatus{}, errors.New("the replica's mailstore has no copy of the account")
	}
	return status.Copies[0], nil
}

// FirstCopy implements FirstCopier.
func (r *mailreplica) FirstCopy(ctx context.Context, fill func(load.Account) error) (time.Duration, error) {
	who := withAddress(copied)
	if err := r.create(ctx, who); err != nil {
		return 0, err
	}
	if err := fill(who); err != nil {
		return 0, err
	}
	begun := time.Now()
	err := r.replicate(ctx, []load.Account{who})
	return time.Since(begun), err
}

// Promote implements Promoter. It ends when the replica's mailstore is the primary, and the operation has told so.
func (r *mailreplica) Promote(ctx context.Context, who load.Account) (time.Duration, error) {
	begun := time.Now()
	started, err := r.admin.Promote(ctx, admin.Promote{Selection: admin.Selection{Accounts: []string{who.Address}}, Destination: devReplica})
	if err == nil {
		err = r.finish(ctx, started)
	}
	took := time.Since(begun)
	if err != nil {
		return 0, err
	}
	r.mu.Lock()
	id := r.ids[who.Address]
	r.mu.Unlock()
	now, err := r.copyOf(ctx, id)
	if err == nil && now.Primary != devReplica {
		err = fmt.Errorf("the primary is %s, want %s", now.Primary, devReplica)
	}
	return took, err
}

// CPU implements Running.
func (r *mailreplica) CPU() (time.Duration, error) { return usedCPU(r.cluster.Process) }

// Disk implements Running.
func (r *mailreplica) Disk() (Usage, error) {
	return usage(filepath.Join(r.folder, "data"), func(path string) bool {
		return strings.HasPrefix(path, "broker/") || strings.HasPrefix(path, "kafka/")
	})
}

// Stop implements Running.
func (r *mailreplica) Stop() {
	if r.cluster != nil {
		r.cluster.Stop()
	}
}
