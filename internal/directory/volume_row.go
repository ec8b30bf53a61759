package directory

import (
	"bytes"
	"fmt"
)

const volumeColumns = "mailstore, name, kind, path, bucket_id, prefix, is_primary, centralised, version"

func (q *query) volumes() ([]Volume, error) {
	return rows(q, scanVolume, "SELECT "+volumeColumns+" FROM volumes ORDER BY mailstore, name")
}

func (t *tx) putVolume(v Volume) error {
	values := []any{string(v.Kind), v.Path, v.BucketID, v.Prefix, v.Primary, v.Centralised, v.Version, v.Mailstore, v.Name}
	return t.put(`UPDATE volumes SET kind = ?, path = ?, bucket_id = ?, prefix = ?, is_primary = ?, centralised = ?, version = ?
		WHERE mailstore = ? AND name = ?`, values,
		`INSERT INTO volumes (kind, path, bucket_id, prefix, is_primary, centralised, version, mailstore, name)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, values)
}

func (t *tx) deleteVolume(v Volume) error {
	if _, err := t.exec("DELETE FROM volumes WHERE mailstore = ? AND name = ?", v.Mailstore, v.Name); err != nil {
		return err
	}
	return t.noteRemoved(removedVolume, v.key().bytes())
}

func scanVolume(row scanner) (Volume, error) {
	var v Volume
	err := row.Scan(&v.Mailstore, &v.Name, &v.Kind, &v.Path, &v.BucketID, &v.Prefix, &v.Primary, &v.Centralised, &v.Version)
	if err != nil {
		return v, err
	}
	return v, sound("volume of "+v.Mailstore, v.Name, claim{"kind", v.Kind == FolderVolume || v.Kind == S3Volume})
}

// volumeKey names a volume. Among the removed rows it is the mailstore, a zero byte, and the name, neither of which has one.
type volumeKey struct{ mailstore, name string }

func (v *Volume) key() volumeKey { return volumeKey{v.Mailstore, v.Name} }

func (k volumeKey) bytes() []byte { return []byte(k.mailstore + "\x00" + k.name) }

func splitVolumeKey(key []byte) (volumeKey, error) {
	mailstore, name, found := bytes.Cut(key, []byte{0})
	if !found {
		return volumeKey{}, fmt.Errorf("the key of a removed volume has no zero byte")
	}
	return volumeKey{string(mailstore), string(name)}, nil
}
