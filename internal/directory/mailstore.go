package directory

import (
	"context"
	"fmt"
	"strings"
	"time"

	"mailreplica/internal/fault"
)

// IncarnationLiveFor is how long after its last sign a mailstore counts as alive, so that another incarnation of its
// name is refused. Heartbeats must come several times as often.
const IncarnationLiveFor = 6 * time.Second

// FQDNBytesMax is the length of the longest host name (RFC 1035, section 2.3.4).
const FQDNBytesMax = 253

// Mailstore is a node that holds mailboxes. The addresses are where its frontends and APIs are reached, host:port.
type Mailstore struct {
	FQDN        string
	AdminAddr   string
	PeerAddr    string
	LMTPAddr    string
	IMAPAddr    string
	Incarnation string    // a random text kept in the mailstore's own database
	SeenAt      time.Time // of its last heartbeat; not followed by copies
	Version     int64
}

const mailstoreColumns = "fqdn, admin_addr, peer_addr, lmtp_addr, imap_addr, incarnation, seen_at, version"

// RegisterMailstore makes a mailstore known, or its addresses. Exists is the answer while another incarnation of the
// name is alive: a second process of one FQDN must not start. An incarnation of the same mailstore that is gone for
// IncarnationLiveFor is taken over from.
func (d *Directory) RegisterMailstore(ctx context.Context, m Mailstore) error {
	if m.FQDN == "" || m.FQDN != strings.ToLower(m.FQDN) || strings.ContainsAny(m.FQDN, " ,/@*?") {
		return fault.New(fault.Invalid, "%q is not a mailstore's FQDN: want a host name in lower case", m.FQDN)
	}
	if len(m.FQDN) > FQDNBytesMax {
		return fault.New(fault.Invalid, "%.80q… is longer than the %d bytes that a host name may have", m.FQDN, FQDNBytesMax)
	}
	if m.Incarnation == "" {
		return fault.New(fault.Invalid, "the mailstore %s has no incarnation", m.FQDN)
	}
	return d.store.write(ctx, func(t *tx) error {
		old, found, err := t.mailstore(m.FQDN)
		if err != nil {
			return err
		}
		if found && old.Incarnation != m.Incarnation && t.now.Sub(old.SeenAt).Abs() < IncarnationLiveFor {
			return otherIncarnation(m.FQDN)
		}
		if found && sameAddresses(old, m) {
			_, err := t.exec("UPDATE mailstores SET seen_at = ? WHERE fqdn = ?", millis(t.now), m.FQDN)
			return err
		}
		if m.Version, err = t.next(); err != nil {
			return err
		}
		m.SeenAt = t.now
		return t.putMailstore(m)
	})
}

// sameAddresses reports whether a mailstore is registered as it was.
func sameAddresses(a, b Mailstore) bool {
	a.SeenAt, a.Version = b.SeenAt, b.Version
	return a == b
}

func otherIncarnation(fqdn string) error {
	return fault.New(fault.Exists, "another process runs as the mailstore %s", fqdn).
		WithHint("stop the other process, or give this one another FQDN; if it has ended and its data folder was moved, wait some seconds")
}

// Heartbeat says that this incarnation of a mailstore is alive. Exists tells it that another incarnation took the name
// over, and that it must stop; NotFound, that the mailstore was deleted.
func (d *Directory) Heartbeat(ctx context.Context, fqdn, incarnation string) error {
	return d.store.write(ctx, func(t *tx) error {
		old, found, err := t.mailstore(fqdn)
		if err != nil {
			return err
		}
		if !found {
			return noMailstore(fqdn)
		}
		if old.Incarnation != incarnation {
			return otherIncarnation(fqdn)
		}
		_, err = t.exec("UPDATE mailstores SET seen_at = ? WHERE fqdn = ?", millis(t.now), fqdn)
		return err
	})
}

// Mailstores gives every mailstore, by FQDN. SeenAt is by this machine's clock.
func (d *Directory) Mailstores(ctx context.Context) ([]Mailstore, error) {
	return d.mailstores(ctx, "ORDER BY fqdn")
}

// Mailstore gives one mailstore; an unknown one is NotFound. SeenAt is by this machine's clock.
func (d *Directory) Mailstore(ctx context.Context, fqdn string) (Mailstore, error) {
	found, err := d.mailstores(ctx, "WHERE fqdn = ?", fqdn)
	if err == nil && len(found) == 0 {
		err = noMailstore(fqdn)
	}
	if err != nil {
		return Mailstore{}, err
	}
	return found[0], nil
}

func (d *Directory) mailstores(ctx context.Context, which string, args ...any) ([]Mailstore, error) {
	var all []Mailstore
	err := d.store.read(ctx, func(q *query) (err error) {
		if all, err = rows(q, scanMailstore, "SELECT "+mailstoreColumns+" FROM mailstores "+which, args...); err != nil {
			return err
		}
		skew, err := q.skew()
		for i := range all {
			if !all[i].SeenAt.IsZero() {
				all[i].SeenAt = all[i].SeenAt.Add(skew)
			}
		}
		return err
	})
	return all, err
}

// DeleteMailstore forgets a mailstore. It is refused (Invalid) while accounts or replicas are there; the message counts
// them. Its volumes go with it.
func (d *Directory) DeleteMailstore(ctx context.Context, fqdn string) error {
	return d.store.write(ctx, func(t *tx) error {
		if err := t.mustKnowMailstore(fqdn); err != nil {
			return err
		}
		accounts, err := t.count("SELECT COUNT(*) FROM accounts WHERE mail_host = ? AND kind = ?", fqdn, string(User))
		if err != nil {
			return err
		}
		replicas, err := t.count("SELECT COUNT(*) FROM replicas WHERE mailstore = ?", fqdn)
		if err != nil {
			return err
		}
		if accounts+replicas > 0 {
			return fault.New(fault.Invalid, "%s and %s are on %s", plural(accounts, "account"),
				plural(replicas, "replica"), fqdn).
				WithHint("promote the accounts elsewhere and remove the replicas first")
		}
		volumes, err := t.volumes()
		if err != nil {
			return err
		}
		if err := each(volumesOf(volumes, fqdn), t.deleteVolume); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM mailstores WHERE fqdn = ?", fqdn); err != nil {
			return err
		}
		return t.noteRemoved(removedMailstore, []byte(fqdn))
	})
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func noMailstore(fqdn string) error {
	return fault.New(fault.NotFound, "there is no mailstore %q", fqdn).WithHint("prov getAllServers lists the mailstores")
}

func (q *query) mailstore(fqdn string) (Mailstore, bool, error) {
	found, err := rows(q, scanMailstore, "SELECT "+mailstoreColumns+" FROM mailstores WHERE fqdn = ?"+q.lock, fqdn)
	if err != nil || len(found) == 0 {
		return Mailstore{}, false, err
	}
	return found[0], true, nil
}

func (q *query) mustKnowMailstore(fqdn string) error {
	_, found, err := q.mailstore(fqdn)
	if err == nil && !found {
		err = noMailstore(fqdn)
	}
	return err
}

func (t *tx) putMailstore(m Mailstore) error {
	values := []any{m.AdminAddr, m.PeerAddr, m.LMTPAddr, m.IMAPAddr, m.Incarnation, millis(m.SeenAt), m.Version,
		m.FQDN}
	return t.put(`UPDATE mailstores SET admin_addr = ?, peer_addr = ?, lmtp_addr = ?, imap_addr = ?,
		incarnation = ?, seen_at = ?, version = ? WHERE fqdn = ?`, values,
		`INSERT INTO mailstores (admin_addr, peer_addr, lmtp_addr, imap_addr, incarnation, seen_at, version, fqdn)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, values)
}

func scanMailstore(row scanner) (Mailstore, error) {
	var m Mailstore
	var seen int64
	err := row.Scan(&m.FQDN, &m.AdminAddr, &m.PeerAddr, &m.LMTPAddr, &m.IMAPAddr, &m.Incarnation, &seen, &m.Version)
	if err != nil {
		return m, err
	}
	m.SeenAt = fromMillis(seen)
	return m, sound("mailstore", m.FQDN, claim{"seen_at", isTime(seen)})
}
