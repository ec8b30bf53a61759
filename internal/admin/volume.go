package admin

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

// Volumes is what an administrator needs of this mailstore's way to volumes. Errors carry kinds and hints, and never a secret.
type Volumes interface {
	// Claim proves that blobs can be written, read and deleted where an S3 volume is to lie, and marks the place as that of
	// the volume, or finds that mark. Exists: it is another volume's.
	Claim(ctx context.Context, v directory.Volume, b directory.Bucket) error

	// Find proves the same of a volume that is there already, reached as the bucket says. A place without its mark is refused.
	Find(ctx context.Context, v directory.Volume, b directory.Bucket) error

	// TestBucket writes, reads, lists and deletes an object below a prefix. It gives what was found at each step, as
	// "NAME: …", the one that failed included.
	TestBucket(ctx context.Context, b directory.Bucket, prefix string) (steps []string, err error)

	// InUse reports whether a copy on this mailstore has contents on a volume.
	InUse(ctx context.Context, name string) (bool, error)
}

// Types of volumes: where new blobs of a mailstore go, and where it only reads those that are there.
const (
	VolumePrimary   = "primary"
	VolumeSecondary = "secondary"
)

// StoreFolder is the store type of a volume that is a folder; that of the others is the kind of their bucket.
const StoreFolder = "FileBlob"

// claimWait bounds the proof of a volume.
const claimWait = time.Minute

// Volume is a volume of one mailstore as an administrator sees it.
type Volume struct {
	Mailstore   string   `json:"mailstore"`
	Name        string   `json:"name"`
	StoreType   string   `json:"storeType"`
	VolumeType  string   `json:"volumeType"`
	IsCurrent   bool     `json:"isCurrent"`
	Centralized bool     `json:"centralized"`
	Path        string   `json:"path"`
	BucketID    string   `json:"bucketId"`
	BucketName  string   `json:"bucketName"`
	Prefix      string   `json:"volumePrefix"`
	Notes       []string `json:"notes,omitempty"`
}

func (a *Admin) viewVolume(v directory.Volume) Volume {
	view := Volume{Mailstore: v.Mailstore, Name: v.Name, StoreType: StoreFolder, VolumeType: VolumeSecondary, IsCurrent: v.Primary,
		Centralized: v.Centralised, Path: v.Path, BucketID: v.BucketID, Prefix: v.Prefix}
	if v.Primary {
		view.VolumeType = VolumePrimary
	}
	if v.Kind == directory.S3Volume {
		view.StoreType = BucketS3
		if b, known := a.copy.Bucket(v.BucketID); known {
			view.StoreType, view.BucketName = string(b.Kind), b.Name
		}
	}
	return view
}

// GetAllVolumes gives the volumes of this mailstore.
func (a *Admin) GetAllVolumes(ctx context.Context) ([]Volume, error) {
	if err := a.Follower.Poll(ctx); err != nil {
		return nil, err
	}
	all := []Volume{}
	for _, v := range a.copy.Volumes(a.Self) {
		all = append(all, a.viewVolume(v))
	}
	return all, nil
}

// CreateVolume is what CreateVolume takes.
type CreateVolume struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Bucket      string `json:"bucket"` // its id or label
	Prefix      string `json:"prefix,omitempty"`
	Centralized bool   `json:"centralized,omitempty"`
}

// CreateVolume makes a volume of this mailstore in a bucket: it claims the place, proves it, and then records it.
func (a *Admin) CreateVolume(ctx context.Context, in CreateVolume) (Volume, error) {
	if err := a.Follower.Poll(ctx); err != nil {
		return Volume{}, err
	}
	v := directory.Volume{Mailstore: a.Self, Name: strings.TrimSpace(in.Name), Kind: directory.S3Volume, Centralised: in.Centralized}
	b, err := a.bucket(in.Bucket)
	if err != nil {
		return Volume{}, err
	}
	v.BucketID = b.ID
	if v.Prefix, err = cleanPrefix(in.Prefix); err != nil {
		return Volume{}, err
	}
	if v.Primary, err = isPrimary(in.Type); err != nil {
		return Volume{}, err
	}
	if err := a.isNewVolume(v, b); err != nil {
		return Volume{}, err
	}
	return a.addVolume(ctx, v, b)
}

// CreateCentralized is what CreateCentralized takes.
type CreateCentralized struct {
	Server string `json:"server"`
	Name   string `json:"name"`
	Type   string `json:"type,omitempty"` // empty: as on Server
}

// CreateCentralized gives this mailstore a centralised volume that another one has.
func (a *Admin) CreateCentralized(ctx context.Context, in CreateCentralized) (Volume, error) {
	if err := a.Follower.Poll(ctx); err != nil {
		return Volume{}, err
	}
	server, err := a.mailstore(in.Server)
	if err != nil {
		return Volume{}, err
	}
	name := strings.TrimSpace(in.Name)
	if server.FQDN == a.Self {
		return Volume{}, fault.New(fault.Invalid, "%s is the mailstore that was asked: it has its volumes", a.Self).
			WithHint("name with --host the mailstore that is to get the volume")
	}
	v, known := a.reach.volume(server.FQDN, name)
	switch {
	case !known:
		return Volume{}, fault.New(fault.NotFound, "%s has no volume %.100q", server.FQDN, name).
			WithHint("carbonio --host %s powerstore getAllVolumes lists its volumes", server.FQDN)
	case !v.Centralised:
		return Volume{}, fault.New(fault.Invalid, "the volume %s of %s is not centralised: it is its own", name, server.FQDN).
			WithHint("%s", a.reach.mendingCentralised(v))
	case v.Kind != directory.S3Volume:
		return Volume{}, fault.New(fault.Invalid, "the volume %s is a folder: its path here cannot be known", name).
			WithHint("name it, its path here and centralised: true in the configuration of %s, and restart that mailstore", a.Self)
	}
	if _, has := a.reach.volume(a.Self, name); has {
		return Volume{}, a.hasVolume(name)
	}
	b, known := a.copy.Bucket(v.BucketID)
	if !known {
		return Volume{}, fault.New(fault.NotFound, "the bucket %s of the volume %s is not known", v.BucketID, name)
	}
	v.Mailstore = a.Self
	if in.Type != "" {
		if v.Primary, err = isPrimary(in.Type); err != nil {
			return Volume{}, err
		}
	}
	return a.addVolume(ctx, v, b)
}

// addVolume claims, proves and records a volume of this mailstore.
func (a *Admin) addVolume(ctx context.Context, v directory.Volume, b directory.Bucket) (Volume, error) {
	if v.Primary {
		if err := a.mayBePrimary(v); err != nil {
			return Volume{}, err
		}
	}
	claiming, cancel := context.WithTimeout(ctx, claimWait)
	defer cancel()
	if err := a.Volumes.Claim(claiming, v, b); err != nil {
		return Volume{}, err
	}
	if err := a.Directory.CreateVolume(ctx, v); err != nil {
		return Volume{}, err
	}
	a.tell(ctx, a.allMailstores()...)
	made := a.viewVolume(v)
	if !v.Centralised {
		made.Notes = []string{"it is not centralised: accounts with messages there can have no replica"}
	}
	return made, nil
}

// UpdateVolume is what UpdateVolume takes. What is nil stays.
type UpdateVolume struct {
	Name        string  `json:"name"`
	Type        *string `json:"type,omitempty"`
	Current     *bool   `json:"current,omitempty"` // true is type primary
	Centralized *bool   `json:"centralized,omitempty"`
}

// UpdateVolume makes a volume of this mailstore the one that new blobs go to, or says that it is centralised.
func (a *Admin) UpdateVolume(ctx context.Context, in UpdateVolume) (Volume, error) {
	if err := a.Follower.Poll(ctx); err != nil {
		return Volume{}, err
	}
	old, known := a.reach.volume(a.Self, strings.TrimSpace(in.Name))
	if !known {
		return Volume{}, a.noVolume(in.Name)
	}
	changed, err := in.on(old)
	if err != nil {
		return Volume{}, err
	}
	if changed.Centralised != old.Centralised {
		if err := a.mayCentralise(changed); err != nil {
			return Volume{}, err
		}
	}
	switch {
	case old.Primary && !changed.Primary:
		return Volume{}, fault.New(fault.Invalid, "new messages of %s would have no volume: %s is its only primary one", a.Self, old.Name).
			WithHint("make another volume primary; that makes this one secondary")
	case changed.Primary && changed != old:
		if err := a.mayBePrimary(changed); err != nil {
			return Volume{}, err
		}
	}
	if changed == old {
		return a.viewVolume(old), nil
	}
	err = a.Directory.UpdateVolume(ctx, a.Self, old.Name, func(v *directory.Volume) error {
		v.Primary, v.Centralised = changed.Primary, changed.Centralised
		return nil
	})
	if err != nil {
		return Volume{}, err
	}
	a.tell(ctx, a.allMailstores()...)
	return a.viewVolume(changed), nil
}

func (in UpdateVolume) on(v directory.Volume) (directory.Volume, error) {
	if in.Type == nil && in.Current == nil && in.Centralized == nil {
		return v, fault.New(fault.Invalid, "nothing is to be changed").WithHint("name what: volume_type, current_volume or centralized")
	}
	if in.Centralized != nil {
		v.Centralised = *in.Centralized
	}
	if in.Current != nil {
		v.Primary = *in.Current
	}
	if in.Type == nil {
		return v, nil
	}
	primary, err := isPrimary(*in.Type)
	if err == nil && in.Current != nil && primary != *in.Current {
		err = fault.New(fault.Invalid, "volume_type and current_volume contradict each other").WithHint("the primary volume is the current one; give one of them")
	}
	v.Primary = primary
	return v, err
}

// mayCentralise checks a volume of this mailstore that is to be centralised from now on, or to be its own again.
func (a *Admin) mayCentralise(v directory.Volume) error {
	if v.Kind != directory.S3Volume {
		return fault.New(fault.Invalid, "the volume %s is a folder: whether every mailstore reaches it is said in the mailstore's configuration", v.Name).
			WithHint("set centralised there, and restart %s", v.Mailstore)
	}
	for _, other := range a.copy.AllVolumes() {
		switch {
		case other.Name != v.Name || other.Mailstore == v.Mailstore:
		case v.Centralised:
			return fault.New(fault.Exists, "%s has a volume %s of its own; a centralised one has its name on every mailstore alone", other.Mailstore, v.Name).
				WithHint("make a centralised volume of another name")
		default:
			return fault.New(fault.Invalid, "%s uses the volume %s, too", other.Mailstore, v.Name).
				WithHint("carbonio --host %s powerstore doDeleteVolume %s, if nothing of its accounts lies there", other.Mailstore, v.Name)
		}
	}
	if !v.Centralised {
		if shared := a.sharing(v.Mailstore); len(shared) > 0 {
			return fault.New(fault.Invalid, "%s shares accounts with %s, which may have messages on the volume %s", v.Mailstore, strings.Join(shared, ", "), v.Name).
				WithHint("remove the replicas first: MailReplica removeAccountDestination")
		}
	}
	return nil
}

// DeleteVolume takes a volume from this mailstore. Blobs and mark stay where they are.
func (a *Admin) DeleteVolume(ctx context.Context, name string) error {
	if err := a.Follower.Poll(ctx); err != nil {
		return err
	}
	v, known := a.reach.volume(a.Self, strings.TrimSpace(name))
	switch {
	case !known:
		return a.noVolume(name)
	case v.Kind != directory.S3Volume:
		return fault.New(fault.Invalid, "the volume %s is a folder of the mailstore's configuration", v.Name).
			WithHint("take it out of the configuration of %s, and restart that mailstore", a.Self)
	case v.Primary:
		return fault.New(fault.Invalid, "new messages of %s go to the volume %s", a.Self, v.Name).WithHint("make another volume primary first")
	}
	for _, r := range a.copy.ReplicasOn(a.Self) {
		one, known := a.copy.Account(r.AccountID)
		if !known {
			continue
		}
		if p, has := a.reach.primary(one.MailHost); has && p.Name == v.Name {
			return fault.New(fault.Invalid, "%s holds replicas of accounts of %s, whose new messages go to the volume %s", a.Self, one.MailHost, v.Name).
				WithHint("remove the replicas first, or give %s another primary volume", one.MailHost)
		}
	}
	used, err := a.Volumes.InUse(ctx, v.Name)
	if err != nil {
		return err
	}
	if used {
		return fault.New(fault.Invalid, "mailboxes on %s have messages on the volume %s, or removed ones whose bodies are kept for a while", a.Self, v.Name).
			WithHint("it can go when none is left: promote the accounts elsewhere and remove the replicas here, or keep the volume")
	}
	if err := a.Directory.DeleteVolume(ctx, a.Self, v.Name); err != nil {
		return err
	}
	a.tell(ctx, a.allMailstores()...)
	return nil
}

func isPrimary(volumeType string) (bool, error) {
	switch {
	case strings.EqualFold(volumeType, VolumePrimary):
		return true, nil
	case strings.EqualFold(volumeType, VolumeSecondary):
		return false, nil
	}
	return false, fault.New(fault.Invalid, "%.100q is no type of a volume", volumeType).
		WithHint("%s: new messages go there; %s: it is only read", VolumePrimary, VolumeSecondary)
}

var volumeNames = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$`)

// isNewVolume refuses a name or a place that is another volume's.
func (a *Admin) isNewVolume(v directory.Volume, b directory.Bucket) error {
	reserved := slices.ContainsFunc([]string{BucketS3, BucketMinIO, StoreFolder, "Centralized"}, func(word string) bool {
		return strings.EqualFold(word, v.Name)
	})
	if !volumeNames.MatchString(v.Name) || reserved {
		return fault.New(fault.Invalid, "%.100q cannot be the name of a volume", v.Name).
			WithHint("use up to 64 letters, digits, dots, hyphens and underscores, and no word of the command")
	}
	if _, has := a.reach.volume(a.Self, v.Name); has {
		return a.hasVolume(v.Name)
	}
	for _, other := range a.copy.AllVolumes() {
		switch {
		case other.Name == v.Name && (v.Centralised || other.Centralised):
			return fault.New(fault.Exists, "%s has a volume %s; a centralised one has its name on every mailstore alone", other.Mailstore, v.Name).
				WithHint("choose another name, or use that volume here: carbonio --host %s powerstore doCreateVolume Centralized %s %s",
					a.Self, other.Mailstore, v.Name)
		case other.Kind == directory.S3Volume && a.overlaps(other, v, b):
			return fault.New(fault.Exists, "the bucket %s is that of the volume %s of %s%s", b.Name, other.Name, other.Mailstore, below(other.Prefix)).
				WithHint("choose a volume_prefix beside it: neither may begin with the other")
		}
	}
	return nil
}

// overlaps reports whether one volume lies where another does, or inside of it.
func (a *Admin) overlaps(other, v directory.Volume, b directory.Bucket) bool {
	if its, known := a.copy.Bucket(other.BucketID); !known || !samePlace(its, b) {
		return false
	}
	one, two := other.Prefix+"/", v.Prefix+"/"
	return other.Prefix == "" || v.Prefix == "" || strings.HasPrefix(one, two) || strings.HasPrefix(two, one)
}

func below(prefix string) string {
	if prefix == "" {
		return ""
	}
	return ", below " + prefix
}

func (a *Admin) hasVolume(name string) error {
	return fault.New(fault.Exists, "%s has a volume %s already", a.Self, name).
		WithHint("carbonio --host %s powerstore doUpdateVolume %s volume_type primary sends new messages there", a.Self, name)
}

func (a *Admin) noVolume(name string) error {
	return fault.New(fault.NotFound, "%s has no volume %.100q", a.Self, strings.TrimSpace(name)).
		WithHint("carbonio --host %s powerstore getAllVolumes lists its volumes", a.Self)
}
