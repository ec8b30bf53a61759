package admintest

import (
	"context"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

// Secret is the one secret that every bucket of a platform takes.
const Secret = "the-secret-of-the-tests"

// The folder volumes of every mailstore: a centralised one, which is the primary one at first, and one of its own.
const (
	SharedVolume = "blobs"
	OwnVolume    = "local"
)

// UseFolderVolume makes one of the folder volumes of the i-th mailstore the primary one, and gives the mailstore's name.
func (p *Platform) UseFolderVolume(t testing.TB, i int, name string) string {
	t.Helper()
	fqdn := Name(i)
	must(t, p.Directory.UpdateVolume(t.Context(), fqdn, name, func(v *directory.Volume) error {
		v.Primary = true
		return nil
	}))
	p.Poll(t)
	return fqdn
}

func (m *Mailstore) registerVolumes(ctx context.Context) error {
	return m.platform.Directory.RegisterVolumes(ctx, m.FQDN, []directory.Volume{
		{Name: SharedVolume, Kind: directory.FolderVolume, Path: "/var/blobs", Primary: true, Centralised: true},
		{Name: OwnVolume, Kind: directory.FolderVolume, Path: "/var/local"},
	})
}

// PutContents says on which volumes the messages of an account lie; without it they are on SharedVolume.
func (m *Mailstore) PutContents(id account.ID, volumes ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.contents == nil {
		m.contents = map[account.ID][]string{}
	}
	m.contents[id] = volumes
}

// HideContents says whether the mailstore does not answer where the messages of its copies lie.
func (m *Mailstore) HideContents(hidden bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.contentsHidden = hidden
}

func (m *Mailstore) contentVolumes(id account.ID) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if volumes, put := m.contents[id]; put {
		return volumes
	}
	return []string{SharedVolume}
}

// SetBucketsAway says whether the buckets answer.
func (p *Platform) SetBucketsAway(away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bucketsAway = away
}

// storage is a mailstore's way to buckets, which are a map of marks. It implements admin.Volumes.
type storage struct{ m *Mailstore }

func (s storage) reach(b directory.Bucket) error {
	if b.Secret != Secret {
		return fault.New(fault.Denied, "the bucket %s refuses the access key %s", b.Name, b.AccessKey).WithHint("set the right secret")
	}
	if s.m.platform.bucketsAway {
		return fault.New(fault.VolumeUnavailable, "the bucket %s does not answer", b.Name)
	}
	return nil
}

func place(v directory.Volume, b directory.Bucket) string { return b.Name + "/" + v.Prefix }

// Claim marks the place of a volume.
func (s storage) Claim(_ context.Context, v directory.Volume, b directory.Bucket) error {
	p := s.m.platform
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := s.reach(b); err != nil {
		return err
	}
	if p.marks == nil {
		p.marks = map[string]string{}
	}
	if mark, marked := p.marks[place(v, b)]; marked && mark != v.Name {
		return fault.New(fault.Exists, "the bucket %s holds the volume %s", b.Name, mark)
	}
	p.marks[place(v, b)] = v.Name
	return nil
}

// Find looks for the mark of a volume.
func (s storage) Find(_ context.Context, v directory.Volume, b directory.Bucket) error {
	p := s.m.platform
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := s.reach(b); err != nil {
		return err
	}
	if p.marks[place(v, b)] != v.Name {
		return fault.New(fault.VolumeUnavailable, "the bucket %s has no mark of the volume %s", b.Name, v.Name)
	}
	return nil
}

// TestBucket passes the first step, and if the bucket is reached the other one.
func (s storage) TestBucket(_ context.Context, b directory.Bucket, _ string) ([]string, error) {
	p := s.m.platform
	p.mu.Lock()
	defer p.mu.Unlock()
	steps := []string{"name: s3.example.com is 192.0.2.1"}
	if err := s.reach(b); err != nil {
		return append(steps, "connection: failed: "+fault.Message(err)), err
	}
	return append(steps, "connection: s3.example.com:9000 answers"), nil
}

// InUse looks at what PutContents said.
func (s storage) InUse(_ context.Context, name string) (bool, error) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	for _, volumes := range s.m.contents {
		for _, one := range volumes {
			if one == name {
				return true, nil
			}
		}
	}
	return false, nil
}
