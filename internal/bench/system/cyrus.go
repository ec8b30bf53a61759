package system

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mailreplica/internal/bench/load"
	"mailreplica/internal/engine"
)

// Cyrus is Cyrus IMAP with its replication, in one of its two ways.
type Cyrus struct {
	// Synchronous has each process replicate what it changed before it answers (sync_rightnow_channel); otherwise one process
	// follows a log of what changed.
	Synchronous bool
}

// Name implements System.
func (c Cyrus) Name() string {
	if c.Synchronous {
		return "cyrus-sync"
	}
	return "cyrus-rolling"
}

// Title implements System.
func (c Cyrus) Title() string {
	if c.Synchronous {
		return "Cyrus, synchronous"
	}
	return "Cyrus, rolling"
}

const elsewise = ", `idled`, `altnamespace: yes`; what costs or saves time is as it ships"

// Settings implements System.
func (c Cyrus) Settings() []string {
	way := []string{"`sync_log: yes` and `sync_client -r`" + elsewise,
		"asynchronous: mail is acknowledged before it is on the replica"}
	if c.Synchronous {
		way = []string{"`sync_rightnow_channel: \"\"`" + elsewise,
			"synchronous: mail is acknowledged when the replica has answered; if the replica is away it is acknowledged without"}
	}
	return append(way, "messages are synced to disk on the source before they are acknowledged (`skiplist_unsafe: no`, as it ships)")
}

// Version implements System.
func (c Cyrus) Version(ctx context.Context) (string, error) {
	r, err := findRoot("cyrus")
	if err != nil {
		return "", err
	}
	return r.version(ctx, "cyrus-imapd")
}

// cyrus is two instances that run, and what replicates between them.
type cyrus struct {
	root            root
	folder          string
	synchronous     bool
	source, replica string // addresses
	accounts        []load.Account
	servers         []*engine.Process
	follower        *engine.Process // sync_client
	syslog          *net.UnixConn
}

const (
	cyrusLMTP  = "7025"
	cyrusIMAP  = "7143"
	cyrusSync  = "7072"
	cyrusAdmin = "cyrus"
	cyrusRealm = "mail.example.com" // the servername of both sides, by which passwords are found
)

// local gives accounts that log in without a domain: this one has none.
func local(name string) load.Account {
	return load.Account{Address: name + "@" + domain, Login: name, Password: password}
}

// Start implements System.
func (c Cyrus) Start(ctx context.Context, folder string, accounts int) (_ Running, err error) {
	s := &cyrus{folder: folder, synchronous: c.Synchronous}
	for i := range accounts {
		s.accounts = append(s.accounts, local(accountName(i+1)))
	}
	if s.root, err = findRoot("cyrus"); err != nil {
		return nil, err
	}
	addrs, err := addresses(2, cyrusLMTP, cyrusIMAP, cyrusSync)
	if err != nil {
		return nil, err
	}
	s.source, s.replica = addrs[0], addrs[1]
	if err := s.start(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	if !c.Synchronous {
		return rolling{s}, nil
	}
	return s, nil
}

func (s *cyrus) start(ctx context.Context) error {
	if err := s.listenSyslog(); err != nil {
		return err
	}
	if err := s.passwords(ctx); err != nil {
		return err
	}
	if err := s.server(ctx, "replica", s.replica, nil); err != nil {
		return err
	}
	if err := s.server(ctx, "source", s.source, s.replication()); err != nil {
		return err
	}
	if err := s.makeAccounts(ctx, s.accounts); err != nil {
		return err
	}
	return s.follow(ctx)
}

// listenSyslog keeps what Cyrus says in a file: it says it to syslog alone.
func (s *cyrus) listenSyslog() error {
	path := filepath.Join(s.folder, "syslog")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	s.syslog = socket
	log, err := os.Create(path + ".log")
	if err != nil {
		return err
	}
	go func() {
		defer log.Close()
		line := make([]byte, 64<<10)
		for {
			n, err := socket.Read(line)
			if err != nil {
				return // it was closed
			}
			_, _ = log.Write(append(line[:n:n], '\n')) // for people who look for a failure's reason
		}
	}()
	return os.Chmod(path, 0o666)
}

// passwords makes the database of passwords that both sides share.
func (s *cyrus) passwords(ctx context.Context) error {
	names := []string{cyrusAdmin, copied}
	for _, who := range s.accounts {
		names = append(names, who.Login)
	}
	return s.root.run(ctx, s.folder, fmt.Sprintf(
		"for name in %s; do echo %s | saslpasswd2 -c -p -f /srv/sasldb -u %s $name; done; chown cyrus /srv/sasldb", strings.Join(names, " "), password, cyrusRealm))
}

// replication is what the source is told of the replica.
func (s *cyrus) replication() []string {
	lines := []string{"sync_host: " + s.replica, "sync_port: " + cyrusSync, "sync_try_imap: no", "sync_authname: " + cyrusAdmin, "sync_password: " + password}
	if s.synchronous {
		return append(lines, `sync_rightnow_channel: ""`)
	}
	return append(lines, "sync_log: yes")
}

// Locks and sockets lie in the folder and not in /run, which the follower does not share with its source.
const cyrusSettings = `
servername: mail.example.com
configdirectory: /srv/SIDE/config
proc_path: /srv/SIDE/run/proc
mboxname_lockpath: /srv/SIDE/run/lock
defaultpartition: default
partition-default: /srv/SIDE/mail
admins: cyrus
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: /srv/sasldb
sasl_mech_list: PLAIN LOGIN
lmtpsocket: /srv/SIDE/run/lmtp
idlesocket: /srv/SIDE/run/idle
notifysocket: /srv/SIDE/run/notify
hashimapspool: true
unixhierarchysep: no
altnamespace: yes
umask: 077
syslog_prefix: cyrus-SIDE
`

const cyrusServices = `
START {
  recover cmd="/usr/sbin/cyrus ctl_cyrusdb -C /srv/SIDE/imapd.conf -r"
  idled cmd="idled -C /srv/SIDE/imapd.conf"
}
SERVICES {
  imap cmd="imapd -C /srv/SIDE/imapd.conf -U 30" listen="ADDRESS:IMAP" prefork=0 maxchild=100
  lmtp cmd="lmtpd -C /srv/SIDE/imapd.conf -a" listen="ADDRESS:LMTP" prefork=0 maxchild=100
  sync cmd="sync_server -C /srv/SIDE/imapd.conf" listen="ADDRESS:SYNC" prefork=0 maxchild=100
}
EVENTS {
  checkpoint cmd="/usr/sbin/cyrus ctl_cyrusdb -C /srv/SIDE/imapd.conf -c" period=30
}
`

// server starts one side.
func (s *cyrus) server(ctx context.Context, side, address string, more []string) error {
	replacer := strings.NewReplacer("SIDE", side, "ADDRESS", address, "IMAP", cyrusIMAP, "LMTP", cyrusLMTP, "SYNC", cyrusSync)
	if err := write(s.folder, map[string]string{
		side + "/imapd.conf": replacer.Replace(cyrusSettings) + strings.Join(more, "\n") + "\n",
		side + "/cyrus.conf": replacer.Replace(cyrusServices),
	}); err != nil {
		return err
	}
	script := fmt.Sprintf(`
cd /srv/%[1]s && mkdir -p run/proc run/lock mail config && cd config && mkdir backup db log msg proc ptclient quota socket sync user
chown -R cyrus:mail /srv/%[1]s
ln -sf /srv/syslog /dev/log
exec /usr/lib/cyrus/bin/master -C /srv/%[1]s/imapd.conf -M /srv/%[1]s/cyrus.conf -p /srv/%[1]s/run/master.pid`, side)
	p, err := s.root.start(s.folder, side+".log", "/bin/sh", "-ec", script)
	if err != nil {
		return err
	}
	s.servers = append(s.servers, p)
	return listening(ctx, p, net.JoinHostPort(address, cyrusIMAP), net.JoinHostPort(address, cyrusLMTP), net.JoinHostPort(address, cyrusSync))
}

// makeAccounts makes mailboxes as an administrator does.
func (s *cyrus) makeAccounts(ctx context.Context, all []load.Account) (err error) {
	c, err := load.DialIMAP(ctx, s.IMAP(), load.Account{Login: cyrusAdmin, Password: password})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for _, who := range all {
		if err := c.Do("CREATE user."+who.Login, nil); err != nil {
			return fmt.Errorf("making %s: %w", who.Login, err)
		}
	}
	return nil
}

// sync runs sync_client until it ends.
func (s *cyrus) sync(ctx context.Context, arguments string) error {
	return s.root.run(ctx, s.folder, s.syncClient(arguments))
}

func (s *cyrus) syncClient(arguments string) string {
	return "/usr/lib/cyrus/bin/sync_client -C /srv/source/imapd.conf " + arguments
}

// follow has every account copied, and the rolling client run.
func (s *cyrus) follow(ctx context.Context) error {
	if err := s.sync(ctx, "-A"); err != nil || s.synchronous {
		return err
	}
	var err error
	// It leaves for the background, and ends with the namespaces that the sleeper keeps.
	s.follower, err = s.root.start(s.folder, "sync.log", "/bin/sh", "-ec", s.syncClient("-r -l")+"; exec sleep infinity")
	return err
}

func (s *cyrus) LMTP() string             { return net.JoinHostPort(s.source, cyrusLMTP) }
func (s *cyrus) IMAP() string             { return net.JoinHostPort(s.source, cyrusIMAP) }
func (s *cyrus) Accounts() []load.Account { return s.accounts }

// Watch implements Replicated.
func (s *cyrus) Watch(ctx context.Context, who load.Account) (load.Watcher, error) {
	return load.WatchIMAP(ctx, net.JoinHostPort(s.replica, cyrusIMAP), who)
}

// rolling is a source whose replication can be stopped. One that replicates synchronously cannot be filled without its replica, so it has
// no first copy to measure.
type rolling struct{ *cyrus }

// FirstCopy implements FirstCopier. What replicates all the time is stopped meanwhile.
func (s rolling) FirstCopy(ctx context.Context, fill func(load.Account) error) (time.Duration, error) {
	s.follower.Kill()
	s.follower = nil
	who := local(copied)
	if err := s.makeAccounts(ctx, []load.Account{who}); err != nil {
		return 0, err
	}
	if err := fill(who); err != nil {
		return 0, err
	}
	begun := time.Now()
	err := s.sync(ctx, "-u "+who.Login)
	return time.Since(begun), err
}

// CPU implements Running.
func (s *cyrus) CPU() (time.Duration, error) { return usedCPU(s.processes()...) }

func (s *cyrus) processes() []*engine.Process {
	if s.follower == nil {
		return s.servers
	}
	return append(s.servers[:len(s.servers):len(s.servers)], s.follower)
}

// Disk implements Running.
func (s *cyrus) Disk() (u Usage, err error) {
	for _, side := range []string{"source", "replica"} {
		one, problem := usage(filepath.Join(s.folder, side), notLog)
		u.DataBytes, err = u.DataBytes+one.DataBytes, errors.Join(err, problem)
	}
	return u, err
}

// Stop implements Running.
func (s *cyrus) Stop() {
	for _, p := range s.processes() {
		p.Kill()
	}
	if s.syslog != nil {
		_ = s.syslog.Close() // nobody speaks any more
	}
}
