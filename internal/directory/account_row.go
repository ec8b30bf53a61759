package directory

import (
	"mailreplica/internal/account"
	"mailreplica/internal/fault"
)

const accountColumns = `id, name, kind, password_hash, status, mail_host, epoch, global_admin, cluster_id, topic_id,
	stream, paused, deleting, created_at, version`

func (q *query) account(id account.ID) (Account, bool, error) {
	return q.oneAccount("id = ?", id[:])
}

func (q *query) accountByName(name string) (Account, bool, error) {
	return q.oneAccount("name = ?", name)
}

func (q *query) oneAccount(condition string, value any) (Account, bool, error) {
	found, err := rows(q, scanAccount, "SELECT "+accountColumns+" FROM accounts WHERE "+condition, value)
	if err != nil || len(found) == 0 {
		return Account{}, false, err
	}
	return found[0], true, nil
}

func (q *query) mustKnowAccount(id account.ID) (Account, error) {
	a, found, err := q.account(id)
	if err == nil && !found {
		err = fault.New(fault.NotFound, "there is no account %s", id)
	}
	return a, err
}

func (q *query) mustKnowName(name string) (Account, error) {
	a, found, err := q.accountByName(name)
	if err == nil && !found {
		err = fault.New(fault.NotFound, "there is no account %s", name)
	}
	return a, err
}

// putAccount writes every column of an account.
func (t *tx) putAccount(a Account) error {
	values := []any{a.Name, string(a.Kind), a.PasswordHash, string(a.Status), a.MailHost, int64(a.Epoch), a.GlobalAdmin,
		a.ClusterID, a.TopicID[:], a.Stream, a.Paused, a.Deleting, millis(a.Created), a.Version, a.ID[:]}
	return t.put(`UPDATE accounts SET name = ?, kind = ?, password_hash = ?, status = ?, mail_host = ?, epoch = ?,
		global_admin = ?, cluster_id = ?, topic_id = ?, stream = ?, paused = ?, deleting = ?, created_at = ?, version = ?
		WHERE id = ?`, values,
		`INSERT INTO accounts (name, kind, password_hash, status, mail_host, epoch, global_admin, cluster_id, topic_id,
		stream, paused, deleting, created_at, version, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, values)
}

func scanAccount(row scanner) (Account, error) {
	var a Account
	var id, topic []byte
	var epoch, created int64
	err := row.Scan(&id, &a.Name, &a.Kind, &a.PasswordHash, &a.Status, &a.MailHost, &epoch, &a.GlobalAdmin, &a.ClusterID,
		&topic, &a.Stream, &a.Paused, &a.Deleting, &created, &a.Version)
	if err != nil {
		return Account{}, err
	}
	a.Epoch, a.Created = uint64(epoch), fromMillis(created)
	return a, sound("account", a.Name,
		claim{"id", into(&a.ID, id)}, claim{"topic_id", into(&a.TopicID, topic)},
		claim{"kind", a.Kind == User || a.Kind == List}, claim{"status", a.Status.known()},
		claim{"epoch", epoch >= 0}, claim{"stream", a.Stream >= -1}, claim{"created_at", isTime(created)})
}

// into copies the sixteen bytes of an id, and reports whether it has as many.
func into[T ~[16]byte](dest *T, bytes []byte) bool {
	if len(bytes) != len(*dest) {
		return false
	}
	*dest = T(bytes)
	return true
}
