package metadata

// Where contents lie is asked rarely, by an administrator's command and before a fence, so it has no index: every message
// that is written would pay for one.
const (
	selectContentVolumes = "SELECT DISTINCT volume FROM content WHERE mailbox_id = ? ORDER BY volume"
	selectContentOn      = "SELECT 1 FROM content WHERE volume = ? LIMIT 1"
	selectDiscardedOn    = "SELECT 1 FROM discarded WHERE volume = ? LIMIT 1"
)

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
// of mailboxes that were removed, too. If none does, it reads the rows of every content of the mailstore.
func (v *View) HasContentOn(volume string) (bool, error) {
	var one int64
	for _, query := range []string{selectDiscardedOn, selectContentOn} {
		if found, err := v.one(query, []any{[]byte(volume)}, &one); found || err != nil {
			return found, err
		}
	}
	return false, nil
}
