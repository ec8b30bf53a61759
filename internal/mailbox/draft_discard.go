package mailbox

import (
	"cmp"
	"slices"
)

// Reclaimed removes contents from the list of discarded ones, because their blobs are gone from the volume. Those that are not
// on it are ignored: another call was sooner.
func (d *Draft) Reclaimed(contents []ItemID) error {
	if err := d.begin(); err != nil {
		return err
	}
	contents = slices.SortedFunc(slices.Values(contents), cmp.Compare[ItemID])
	var listed []ItemID
	for _, id := range slices.Compact(contents) {
		_, found, err := d.overlay.Discarded(id)
		if err != nil {
			return err
		}
		if found {
			listed = append(listed, id)
		}
	}
	if len(listed) == 0 {
		return nil
	}
	if err := d.room(idBytes * len(listed)); err != nil {
		return err
	}
	return d.emit(RemoveDiscarded{listed})
}
