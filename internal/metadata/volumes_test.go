package metadata_test

import (
	"cmp"
	"testing"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/metadata"
)

func TestContentVolumes(t *testing.T) { onEach(t, testContentVolumes) }

func testContentVolumes(t *testing.T, p place) {
	s := p.open(t)
	full, _ := create(t, s)
	empty, _ := create(t, s)
	update(t, s, func(tx *metadata.Tx) error {
		delta := folderDelta()
		delta.Contents = map[mailbox.ItemID]*mailbox.Content{}
		for i, volume := range []string{"own", "central", "own", "a'b"} {
			id := mailbox.ItemID(10 + i)
			delta.Contents[id] = &mailbox.Content{ID: id, Volume: volume, Blob: "blob", Summary: []byte("s")}
		}
		discarded := map[mailbox.ItemID]*mailbox.Discarded{20: {ContentID: 20, Volume: "gone", Blob: "blob"}}
		delta.Discarded = ascendingBy(cmp.Compare, discarded)
		return tx.Write(full, delta)
	})
	view(t, s, func(v *metadata.View) error {
		got, err := v.ContentVolumes(full)
		want(t, "volumes of a mailbox", got, []string{"a'b", "central", "own"}, err)
		got, err = v.ContentVolumes(empty)
		want(t, "volumes of an empty mailbox", got, []string(nil), err)
		_, err = v.ContentVolumes(1 << 40)
		wantKind(t, err, fault.NotFound)
		for volume, used := range map[string]bool{"own": true, "a'b": true, "gone": true, "ow": false, "": false} {
			has, err := v.HasContentOn(volume)
			want(t, "a content on "+volume, has, used, err)
		}
		return nil
	})
}
