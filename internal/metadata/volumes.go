package metadata

// Where contents lie is asked rarely, by an administrator's command and before a fence, so it has no index: every message
// that is written would pay for one.
const selectContentVolumes = "SELECT DISTINCT volume FROM content WHERE mailbox_id = ? ORDER BY volume"

// ContentVolumes are the volumes that the contents of a mailbox lie on. It reads all of its contents' rows.
func (v *View) ContentVolumes(mailboxID int64) ([]string, error) {
	if err := v.exists(mailboxID); err != nil {
		return nil, err
	}
	var all []string
	err := v.each(selectContentVolumes, []any{mailboxID}, func(cur *cursor) (bool, error) {
		var volume []byte
		err := cur.scan(&volume)
		all = append(all, string(volume))
		return true, err
	})
	return all, err
}

// HasContentOn reports whether a content of any mailbox lies on a volume, or is a discarded one whose blob may be there still;
// of mailboxes that were removed, too. If none does, it reads the rows of every content of the mailstore, one mailbox after the
// other, for no statement may take long.
func (v *View) HasContentOn(volume string) (bool, error) {
	for _, t := range blobTables {
		next := "SELECT mailbox_id FROM " + t.name + " WHERE mailbox_id > ? ORDER BY mailbox_id LIMIT 1"
		on := "SELECT 1 FROM " + t.name + " WHERE mailbox_id = ? AND volume = ? LIMIT 1"
		for mailboxID := int64(0); ; {
			found, err := v.one(next, []any{mailboxID}, &mailboxID)
			if err != nil {
				return false, err
			}
			if !found {
				break
			}
			var one int64
			if found, err = v.one(on, []any{mailboxID, []byte(volume)}, &one); err != nil || found {
				return found, err
			}
		}
	}
	return false, nil
}
