package directory

import (
	"context"
	"fmt"
	"path"
	"strings"

	"mailreplica/internal/fault"
)

// VolumeKind is where the blobs of a volume lie.
type VolumeKind string

// The kinds.
const (
	FolderVolume VolumeKind = "folder"
	S3Volume     VolumeKind = "S3"
)

// Limits of a volume.
const (
	VolumesMax           = 64 // of one mailstore
	VolumeNameBytesMax   = 128
	volumePathBytesMax   = 1024
	volumePrefixBytesMax = 512
)

// Volume says that a mailstore reaches a place for blobs, and under which name. Blobs are found by that name, so a name
// that several mailstores have must mean one place: a centralised volume has one name, bucket and prefix on all of them (a
// shared folder may have another path on each), and a name that is not centralised may be several mailstores', but never
// a centralised one's as well, but for folders that become centralised: that is said on each mailstore, one after another.
type Volume struct {
	Mailstore   string // FQDN
	Name        string
	Kind        VolumeKind
	Path        string // of a folder: absolute
	BucketID    string // of S3
	Prefix      string // of S3: what every key begins with, without the slash at its end; empty: the bucket is the volume's alone
	Primary     bool   // new blobs of this mailstore go here; one of its volumes has it
	Centralised bool   // other mailstores reach the same blobs
	Version     int64
}

// CreateVolume stores a volume. A primary one makes the mailstore's others not so. An unknown mailstore or bucket is
// NotFound, a name that the mailstore has is Exists; a name or a place that would mean two things is Invalid.
func (d *Directory) CreateVolume(ctx context.Context, v Volume) error {
	if err := v.check(); err != nil {
		return err
	}
	return d.store.write(ctx, func(t *tx) error {
		if err := t.mustKnowMailstore(v.Mailstore); err != nil {
			return err
		}
		all, err := t.volumes()
		if err != nil {
			return err
		}
		if _, found := findVolume(all, v.Mailstore, v.Name); found {
			return fault.New(fault.Exists, "%s has a volume %s already", v.Mailstore, v.Name)
		}
		if err := v.means(all); err != nil {
			return err
		}
		return t.newVolume(v, all)
	})
}

// newVolume stores a volume whose name the mailstore does not have.
func (t *tx) newVolume(v Volume, all []Volume) error {
	if n := len(volumesOf(all, v.Mailstore)); n >= VolumesMax {
		return fault.New(fault.TooLarge, "%s has %d volumes, the most there may be", v.Mailstore, n)
	}
	return t.writeVolume(v, all)
}

// UpdateVolume lets change alter a volume: make it the primary one, say that it is centralised or not, move a folder to
// another path. Its blobs are found by the rest (name, kind, bucket, prefix), which is therefore refused (Invalid); so is
// making the primary volume not so, for then new blobs had no place. change may run several times; its error is given as
// it is. An unknown volume is NotFound.
func (d *Directory) UpdateVolume(ctx context.Context, mailstore, name string, change func(*Volume) error) error {
	return d.store.write(ctx, func(t *tx) error {
		all, err := t.volumes()
		if err != nil {
			return err
		}
		before, found := findVolume(all, mailstore, name)
		if !found {
			return noVolume(mailstore, name)
		}
		after := before
		if err := change(&after); err != nil {
			return asGiven(err, "the change of volume %s of %s", name, mailstore)
		}
		after.Version = before.Version
		if after == before {
			return nil
		}
		return t.changeVolume(before, after, all)
	})
}

func (t *tx) changeVolume(before, after Volume, all []Volume) error {
	if err := after.check(); err != nil {
		return err
	}
	moved := after
	moved.Path, moved.Primary, moved.Centralised = before.Path, before.Primary, before.Centralised
	if moved != before {
		return fault.New(fault.Invalid, "the volume %s of %s keeps its mailstore, name, kind, bucket and prefix: its blobs are found by them",
			before.Name, before.Mailstore).
			WithHint("make another volume, and make it the primary one: new blobs go there, and the old ones stay readable")
	}
	if before.Primary && !after.Primary {
		return fault.New(fault.Invalid, "the volume %s of %s is where new blobs go", before.Name, before.Mailstore).
			WithHint("make another one the primary volume: powerstore doUpdateVolume")
	}
	return t.writeVolume(after, all)
}

// DeleteVolume forgets a volume. The primary one is refused (Invalid). Blobs are not touched; whether messages still refer
// to some is for the caller to find out. An unknown volume is NotFound.
func (d *Directory) DeleteVolume(ctx context.Context, mailstore, name string) error {
	return d.store.write(ctx, func(t *tx) error {
		all, err := t.volumes()
		if err != nil {
			return err
		}
		v, found := findVolume(all, mailstore, name)
		if !found {
			return noVolume(mailstore, name)
		}
		if v.Primary {
			return fault.New(fault.Invalid, "the volume %s of %s is where new blobs go", name, mailstore).
				WithHint("make another one the primary volume first: powerstore doUpdateVolume")
		}
		return t.deleteVolume(v)
	})
}

// RegisterVolumes puts the folder volumes that a mailstore's configuration names, as it starts. Path and Centralised are the
// configuration's; volumes that it does not name stay. Primary counts only for a mailstore that has no primary volume yet:
// the one so marked becomes it, or else the first. What is as it was is not written. A mailstore that is not registered is
// NotFound.
func (d *Directory) RegisterVolumes(ctx context.Context, mailstore string, configured []Volume) error {
	wanted := make([]Volume, len(configured))
	for i, v := range configured {
		v.Mailstore, v.Version = mailstore, 0
		if v.Kind != FolderVolume {
			return fault.New(fault.Internal, "the configured volume %s is no folder", v.Name)
		}
		if err := v.check(); err != nil {
			return err
		}
		wanted[i] = v
	}
	return d.store.write(ctx, func(t *tx) error {
		if err := t.mustKnowMailstore(mailstore); err != nil {
			return err
		}
		return t.registerVolumes(mailstore, wanted)
	})
}

func (t *tx) registerVolumes(mailstore string, wanted []Volume) error {
	primary, err := t.firstPrimary(mailstore, wanted)
	if err != nil {
		return err
	}
	for _, v := range wanted {
		all, err := t.volumes()
		if err != nil {
			return err
		}
		old, found := findVolume(all, mailstore, v.Name)
		v.Primary, v.Version = old.Primary || v.Name == primary, old.Version
		switch {
		case !found:
			err = t.newVolume(v, all)
		case old.Kind != v.Kind:
			err = fault.New(fault.Invalid, "the configuration names a folder %s, but %s has a volume of that name in S3", v.Name, mailstore).
				WithHint("give the folder another name in the configuration")
		case old != v:
			err = t.writeVolume(v, all)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// firstPrimary is the name of the configured volume that becomes the primary one of a mailstore; empty if it has one.
func (t *tx) firstPrimary(mailstore string, wanted []Volume) (string, error) {
	all, err := t.volumes()
	if err != nil || len(wanted) == 0 {
		return "", err
	}
	for _, v := range volumesOf(all, mailstore) {
		if v.Primary {
			return "", nil
		}
	}
	for _, v := range wanted {
		if v.Primary {
			return v.Name, nil
		}
	}
	return wanted[0].Name, nil
}

// Volumes gives every volume of every mailstore, by mailstore and name.
func (d *Directory) Volumes(ctx context.Context) ([]Volume, error) {
	var all []Volume
	err := d.store.read(ctx, func(q *query) (err error) {
		all, err = q.volumes()
		return err
	})
	return all, err
}

// writeVolume stores a volume that was checked by itself, if it agrees with all others, and makes the mailstore's others
// not primary if it is.
func (t *tx) writeVolume(v Volume, all []Volume) (err error) {
	if v.Kind == S3Volume {
		if _, err := t.mustKnowBucket(v.BucketID); err != nil {
			return err
		}
	}
	if err := v.agrees(all); err != nil {
		return err
	}
	if v.Version, err = t.next(); err != nil {
		return err
	}
	for _, other := range volumesOf(all, v.Mailstore) {
		if v.Primary && other.Primary && other.Name != v.Name {
			other.Primary, other.Version = false, v.Version
			if err := t.putVolume(other); err != nil {
				return err
			}
		}
	}
	return t.putVolume(v)
}

// agrees refuses a volume whose name, or whose place, another volume uses for something else.
func (v *Volume) agrees(all []Volume) error {
	for i := range all {
		other := &all[i]
		switch {
		case other.Name == v.Name && other.Mailstore == v.Mailstore: // itself
		case other.Name == v.Name && v.Kind == FolderVolume && other.Kind == FolderVolume:
			// It may have another path there, and be centralised there and not here, or the other way round. Configurations say
			// what a folder is, and are changed on one mailstore after another: a folder that becomes centralised is so on some
			// of them first. Until it is on both of two mailstores, neither reads the other's blobs.
		case other.Name == v.Name && (v.Centralised || other.Centralised):
			if v.Centralised != other.Centralised || v.Kind != other.Kind || v.BucketID != other.BucketID || v.Prefix != other.Prefix {
				return v.isAnother(other)
			}
		case v.overlaps(other):
			return fault.New(fault.Invalid, "the volume %s of %s lies there already: %s", other.Name, other.Mailstore, other.place()).
				WithHint("choose another prefix or path, neither within that one nor around it")
		}
	}
	return nil
}

// means refuses a new volume whose name is that of a centralised one and that is not, or the other way round.
func (v *Volume) means(all []Volume) error {
	for i := range all {
		if all[i].Name == v.Name && all[i].Centralised != v.Centralised {
			return v.isAnother(&all[i])
		}
	}
	return nil
}

func (v *Volume) isAnother(other *Volume) error {
	return fault.New(fault.Invalid, "the volume %s of %s is another one: %s, not %s", v.Name, other.Mailstore, other.place(), v.place()).
		WithHint("a centralised volume is the same on every mailstore, and its name is no other's: choose another name")
}

// overlaps reports whether blobs of two volumes would lie at one place. Only centralised volumes of one name may.
func (v *Volume) overlaps(other *Volume) bool {
	switch {
	case v.Kind != other.Kind:
		return false
	case v.Kind == S3Volume:
		return v.BucketID == other.BucketID && within(v.Prefix, other.Prefix)
	default: // what a path is on another mailstore is not known here
		return v.Mailstore == other.Mailstore && within(strings.TrimSuffix(v.Path, "/"), strings.TrimSuffix(other.Path, "/"))
	}
}

// within reports whether one of two folders is, or holds, the other.
func within(a, b string) bool {
	return a == "" || b == "" || strings.HasPrefix(a+"/", b+"/") || strings.HasPrefix(b+"/", a+"/")
}

func (v *Volume) place() string {
	shared := "not centralised"
	if v.Centralised {
		shared = "centralised"
	}
	if v.Kind == S3Volume {
		return fmt.Sprintf("prefix %q of bucket %s, %s", v.Prefix, v.BucketID, shared)
	}
	return fmt.Sprintf("folder %s, %s", v.Path, shared)
}

// check refuses what cannot be a volume, and brings the rest into its one spelling.
func (v *Volume) check() error {
	if v.Name == "" || len(v.Name) > VolumeNameBytesMax || !printable(v.Name) || strings.ContainsAny(v.Name, " /\\,") {
		return fault.New(fault.Invalid, "%q is not a volume's name: want 1 to %d bytes of UTF-8, without spaces, slashes and commas",
			clip(v.Name, 2*VolumeNameBytesMax), VolumeNameBytesMax)
	}
	switch v.Kind {
	case FolderVolume:
		if v.BucketID != "" || v.Prefix != "" {
			return fault.New(fault.Invalid, "the volume %s is a folder: it has no bucket and no prefix", v.Name)
		}
		if !path.IsAbs(v.Path) || len(v.Path) > volumePathBytesMax || !printable(v.Path) {
			return fault.New(fault.Invalid, "the path of the volume %s must be absolute, of at most %d bytes of UTF-8", v.Name, volumePathBytesMax)
		}
		v.Path = path.Clean(v.Path)
	case S3Volume:
		if v.Path != "" {
			return fault.New(fault.Invalid, "the volume %s is in S3: it has no path", v.Name)
		}
		v.Prefix = strings.TrimSuffix(v.Prefix, "/")
		if v.Prefix != "" && !isPrefix(v.Prefix) {
			return fault.New(fault.Invalid, "%q is not a prefix: want at most %d bytes of UTF-8, names parted by single slashes, none at the front",
				clip(v.Prefix, 80), volumePrefixBytesMax)
		}
	default:
		return fault.New(fault.Invalid, "%q is not a kind of volume: want %s or %s", v.Kind, FolderVolume, S3Volume)
	}
	return nil
}

func isPrefix(s string) bool {
	return len(s) <= volumePrefixBytesMax && printable(s) && path.Clean("/"+s) == "/"+s
}

func noVolume(mailstore, name string) error {
	return fault.New(fault.NotFound, "%s has no volume %q", mailstore, name).WithHint("powerstore getAllVolumes lists the volumes")
}

func findVolume(all []Volume, mailstore, name string) (Volume, bool) {
	for _, v := range all {
		if v.Mailstore == mailstore && v.Name == name {
			return v, true
		}
	}
	return Volume{}, false
}

func volumesOf(all []Volume, mailstore string) []Volume {
	var own []Volume
	for _, v := range all {
		if v.Mailstore == mailstore {
			own = append(own, v)
		}
	}
	return own
}
