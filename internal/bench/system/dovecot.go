package system

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"mailreplica/internal/bench/load"
	"mailreplica/internal/engine"
)

// Dovecot is Dovecot with its replicator: a change is acknowledged, and then a synchronisation of the whole account is asked for.
type Dovecot struct{}

// Name implements System.
func (Dovecot) Name() string { return "dovecot" }

// Title implements System.
func (Dovecot) Title() string { return "Dovecot, replicator" }

// Settings implements System.
func (Dovecot) Settings() []string {
	return []string{
		"`mail_plugins = notify replication` and `mail_replica` on both sides, `mail_location = maildir:~/Maildir`, everything else as it ships",
		"asynchronous: mail is acknowledged before it is on the replica",
		"`mail_fsync = optimized`, as it ships: what LMTP acknowledges was synced to disk on the source; flags were not",
	}
}

// Version implements System.
func (Dovecot) Version(ctx context.Context) (string, error) {
	r, err := findRoot("dovecot")
	if err != nil {
		return "", err
	}
	return r.version(ctx, "dovecot-core")
}

// dovecot is two instances that run.
type dovecot struct {
	root            root
	folder          string
	source, replica string // addresses
	accounts        []load.Account
	processes       []*engine.Process
}

const (
	dovecotLMTP    = "7025"
	dovecotIMAP    = "7143"
	dovecotDoveadm = "7072"
	mailUID        = "5000" // who owns the mail; it needs no name
)

// Start implements System.
func (Dovecot) Start(ctx context.Context, folder string, accounts int) (_ Running, err error) {
	d := &dovecot{folder: folder, accounts: addressed(accounts)}
	if d.root, err = findRoot("dovecot"); err != nil {
		return nil, err
	}
	addrs, err := addresses(2, dovecotLMTP, dovecotIMAP, dovecotDoveadm)
	if err != nil {
		return nil, err
	}
	d.source, d.replica = addrs[0], addrs[1]
	for _, side := range []struct{ name, own, other string }{{"source", d.source, d.replica}, {"replica", d.replica, d.source}} {
		if err := d.start(ctx, side.name, side.own, side.other); err != nil {
			d.Stop()
			return nil, err
		}
	}
	if err := d.prepare(ctx); err != nil {
		d.Stop()
		return nil, err
	}
	return d, nil
}

// prepare makes every INBOX on the source and has it copied. If a session on the replica were the first to open it, there would be two, of
// which the replicator makes one, and the session would end.
func (d *dovecot) prepare(ctx context.Context) error {
	var names strings.Builder
	for _, who := range d.accounts {
		c, err := load.DialIMAP(ctx, d.IMAP(), who)
		if err == nil {
			err = errors.Join(c.Do("SELECT INBOX", nil), c.Close())
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(&names, who.Login)
	}
	if err := write(d.folder, map[string]string{"names": names.String()}); err != nil {
		return err
	}
	return d.root.run(ctx, d.folder, "doveadm -c /srv/source/dovecot.conf sync -F /srv/names -d")
}

func (d *dovecot) start(ctx context.Context, name, own, other string) error {
	var users strings.Builder
	for _, who := range append([]load.Account{withAddress(copied)}, d.accounts...) {
		// user:password:uid:gid:gecos:home:shell:extra fields
		fmt.Fprintf(&users, "%s:{PLAIN}%s:%s:%s::/srv/%s/mail/%s::", who.Login, who.Password, mailUID, mailUID, name, who.Login)
		if who.Login == withAddress(copied).Login {
			users.WriteString("userdb_noreplicate=y") // until its first copy is asked for
		}
		users.WriteString("\n")
	}
	replacer := strings.NewReplacer("NAME", name, "OWN", own, "OTHER", other, "LMTP", dovecotLMTP, "IMAP", dovecotIMAP,
		"DOVEADM", dovecotDoveadm, "PASSWORD", password)
	if err := write(d.folder, map[string]string{
		name + "/users":        users.String(),
		name + "/dovecot.conf": replacer.Replace(dovecotConfig),
	}); err != nil {
		return err
	}
	script := fmt.Sprintf("mkdir /srv/%[1]s/mail && chown %[2]s:%[2]s /srv/%[1]s/mail && exec /usr/sbin/dovecot -F -c /srv/%[1]s/dovecot.conf", name, mailUID)
	p, err := d.root.start(d.folder, name+".log", "/bin/sh", "-ec", script)
	if err != nil {
		return err
	}
	d.processes = append(d.processes, p)
	return listening(ctx, p, net.JoinHostPort(own, dovecotLMTP), net.JoinHostPort(own, dovecotIMAP), net.JoinHostPort(own, dovecotDoveadm))
}

const dovecotConfig = `
instance_name = NAME
base_dir = /srv/NAME/run
state_dir = /srv/NAME/state
log_path = /dev/stderr
protocols = imap lmtp
listen = OWN
ssl = no
disable_plaintext_auth = no
mail_location = maildir:~/Maildir
mail_plugins = notify replication
passdb {
  driver = passwd-file
  args = /srv/NAME/users
}
userdb {
  driver = passwd-file
  args = /srv/NAME/users
}
plugin {
  mail_replica = tcp:OTHER:DOVEADM
}
doveadm_password = PASSWORD
doveadm_port = DOVEADM
service replicator {
  process_min_avail = 1
}
service aggregator {
  fifo_listener replication-notify-fifo {
    mode = 0666
  }
  unix_listener replication-notify {
    mode = 0666
  }
}
service doveadm {
  inet_listener {
    address = OWN
    port = DOVEADM
  }
}
service imap-login {
  inet_listener imap {
    address = OWN
    port = IMAP
  }
  inet_listener imaps {
    port = 0
  }
}
service lmtp {
  inet_listener lmtp {
    address = OWN
    port = LMTP
  }
}
`

func (d *dovecot) LMTP() string             { return net.JoinHostPort(d.source, dovecotLMTP) }
func (d *dovecot) IMAP() string             { return net.JoinHostPort(d.source, dovecotIMAP) }
func (d *dovecot) Accounts() []load.Account { return d.accounts }

// Watch implements Replicated.
func (d *dovecot) Watch(ctx context.Context, who load.Account) (load.Watcher, error) {
	return load.WatchIMAP(ctx, net.JoinHostPort(d.replica, dovecotIMAP), who)
}

// FirstCopy implements FirstCopier.
func (d *dovecot) FirstCopy(ctx context.Context, fill func(load.Account) error) (time.Duration, error) {
	who := withAddress(copied)
	if err := fill(who); err != nil {
		return 0, err
	}
	begun := time.Now()
	err := d.root.run(ctx, d.folder, fmt.Sprintf("doveadm -c /srv/source/dovecot.conf sync -u %s -1 -N tcp:%s:%s", who.Login, d.replica, dovecotDoveadm))
	return time.Since(begun), err
}

// CPU implements Running.
func (d *dovecot) CPU() (time.Duration, error) { return usedCPU(d.processes...) }

// Disk implements Running.
func (d *dovecot) Disk() (Usage, error) {
	source, err := usage(filepath.Join(d.folder, "source", "mail"), notLog)
	if err != nil {
		return Usage{}, err
	}
	replica, err := usage(filepath.Join(d.folder, "replica", "mail"), notLog)
	return Usage{DataBytes: source.DataBytes + replica.DataBytes}, err
}

// Stop implements Running.
func (d *dovecot) Stop() {
	for _, p := range d.processes {
		p.Kill()
	}
}
