package directory_test

import (
	"path/filepath"
	"testing"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

// A folder becomes centralised by the configurations of the mailstores, which are changed and restarted one after another.
func TestFoldersBecomeCentralisedOneByOne(t *testing.T) {
	d, err := directory.Create(t.Context(), directory.Options{Path: filepath.Join(t.TempDir(), "directory.db")})
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	folder := func(centralised bool) []directory.Volume {
		return []directory.Volume{{Name: "blobs", Kind: directory.FolderVolume, Path: "/blobs", Primary: true, Centralised: centralised}}
	}
	for _, fqdn := range []string{mbox1, mbox2} {
		must(t, d.RegisterMailstore(t.Context(), mailstore(fqdn)))
		must(t, d.RegisterVolumes(t.Context(), fqdn, folder(false)))
	}
	for _, fqdn := range []string{mbox1, mbox2} {
		must(t, d.RegisterVolumes(t.Context(), fqdn, folder(true)))
	}
	all, err := d.Volumes(t.Context())
	must(t, err)
	if len(all) != 2 || !all[0].Centralised || !all[1].Centralised || !all[0].Primary || !all[1].Primary {
		t.Errorf("got %+v", all)
	}
	bucket, err := d.CreateBucket(t.Context(), directory.Bucket{Kind: directory.S3Bucket, Name: "mail", Region: "eu-west-1", AccessKey: "k", Secret: "s"})
	must(t, err)
	must(t, d.RegisterMailstore(t.Context(), mailstore(mbox3)))
	err = d.CreateVolume(t.Context(), directory.Volume{Mailstore: mbox3, Name: "blobs", Kind: directory.S3Volume, BucketID: bucket.ID, Centralised: true})
	wantKind(t, err, fault.Invalid)
}
