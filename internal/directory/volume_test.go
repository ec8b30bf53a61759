package directory_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

func bucket(name string) directory.Bucket {
	return directory.Bucket{Kind: directory.MinIOBucket, Label: "label of " + name, Name: name, Endpoint: "https://s3.example.com",
		Region: "us-east-1", AccessKey: "AKIA-" + name, Secret: "s3cret of-" + name}
}

func newBucket(t testing.TB, d *directory.Directory, name string) directory.Bucket {
	t.Helper()
	b := bucket(name)
	b.Secret = "s3cret-of-" + name
	made, err := d.CreateBucket(t.Context(), b)
	must(t, err)
	return made
}

func folder(mailstore, name, path string, centralised bool) directory.Volume {
	return directory.Volume{Mailstore: mailstore, Name: name, Kind: directory.FolderVolume, Path: path, Centralised: centralised}
}

func inS3(mailstore, name, bucket, prefix string, centralised bool) directory.Volume {
	return directory.Volume{Mailstore: mailstore, Name: name, Kind: directory.S3Volume, BucketID: bucket, Prefix: prefix, Centralised: centralised}
}

// volumesText gives a mailstore's volumes, the primary one with a star.
func volumesText(t testing.TB, d *directory.Directory, mailstore string) string {
	t.Helper()
	all, err := d.Volumes(t.Context())
	must(t, err)
	s := ""
	for _, v := range all {
		if v.Mailstore != mailstore {
			continue
		}
		s += v.Name
		if v.Primary {
			s += "*"
		}
		s += " "
	}
	return s
}

func TestBuckets(t *testing.T) { onEngines(t, testBuckets) }

func testBuckets(t *testing.T, r rig) {
	d, ctx := r.newDirectory(t, directory.Options{}), t.Context()
	b := bucket("mail.blobs-1")
	b.Secret, b.Endpoint, b.PathStyle = "s3cret", "HTTPS://S3.example.com:443/", true
	made, err := d.CreateBucket(ctx, b)
	must(t, err)
	want := b
	want.ID, want.CreatedAt, want.Version, want.Endpoint = made.ID, made.CreatedAt, made.Version, "https://s3.example.com"
	all, err := d.Buckets(ctx)
	if err != nil || len(all) != 1 || all[0] != made || made != want || made.ID == "" || made.CreatedAt.IsZero() {
		t.Errorf("got %#v, want %#v, %v", all, want, err)
	}
	_, err = d.CreateBucket(ctx, b)
	wantKind(t, err, fault.Exists)

	rotated, err := d.UpdateBucket(ctx, made.ID, func(b *directory.Bucket) error {
		b.AccessKey, b.Secret, b.ID = "new", "newer", "other"
		return nil
	})
	if err != nil || rotated.ID != made.ID || rotated.Secret != "newer" || rotated.Version <= made.Version {
		t.Errorf("got %v, %v", rotated, err)
	}
	same, err := d.UpdateBucket(ctx, made.ID, func(*directory.Bucket) error { return nil })
	if err != nil || same != rotated {
		t.Errorf("a change of nothing gave %v, %v", same, err)
	}
	_, err = d.UpdateBucket(ctx, made.ID, func(*directory.Bucket) error { return fault.New(fault.Busy, "no") })
	wantKind(t, err, fault.Busy)
	_, err = d.UpdateBucket(ctx, "unknown", func(*directory.Bucket) error { return nil })
	wantKind(t, err, fault.NotFound)

	must(t, d.CreateVolume(ctx, inS3(mbox1, "v", made.ID, "", true)))
	_, err = d.UpdateBucket(ctx, made.ID, func(b *directory.Bucket) error { b.Name = "other"; return nil })
	wantKind(t, err, fault.Invalid)
	_, err = d.UpdateBucket(ctx, made.ID, func(b *directory.Bucket) error { b.Endpoint = "http://10.0.0.1:9000"; return nil })
	must(t, err)
	err = d.DeleteBucket(ctx, made.ID)
	wantKind(t, err, fault.Invalid)
	if want := "the volume v of " + mbox1; !strings.Contains(fault.Message(err), want) {
		t.Errorf("got %q, want %q", fault.Message(err), want)
	}
	must(t, d.DeleteVolume(ctx, mbox1, "v"))
	must(t, d.DeleteBucket(ctx, made.ID))
	wantKind(t, d.DeleteBucket(ctx, made.ID), fault.NotFound)
}

func TestBucketsAreChecked(t *testing.T) {
	d, ctx := sqlite.newDirectory(t, directory.Options{}), t.Context()
	for name, change := range map[string]func(*directory.Bucket){
		"kind":                 func(b *directory.Bucket) { b.Kind = "GCS" },
		"label":                func(b *directory.Bucket) { b.Label = strings.Repeat("l", directory.BucketLabelBytesMax+1) },
		"label of two lines":   func(b *directory.Bucket) { b.Label = "a\nb" },
		"no name":              func(b *directory.Bucket) { b.Name = "" },
		"short name":           func(b *directory.Bucket) { b.Name = "ab" },
		"long name":            func(b *directory.Bucket) { b.Name = strings.Repeat("a", 64) },
		"capitals":             func(b *directory.Bucket) { b.Name = "Mail" },
		"dots":                 func(b *directory.Bucket) { b.Name = "a..b" },
		"hyphen":               func(b *directory.Bucket) { b.Name = "abc-" },
		"address":              func(b *directory.Bucket) { b.Name = "10.0.0.1" },
		"MinIO at no endpoint": func(b *directory.Bucket) { b.Endpoint = "" },
		"no scheme":            func(b *directory.Bucket) { b.Endpoint = "s3.example.com:9000" },
		"other scheme":         func(b *directory.Bucket) { b.Endpoint = "ftp://s3.example.com" },
		"path":                 func(b *directory.Bucket) { b.Endpoint += "/mail" },
		"user":                 func(b *directory.Bucket) { b.Endpoint = "https://me:s3cret-of-x@s3.example.com" },
		"query":                func(b *directory.Bucket) { b.Endpoint += "?a=s3cret-of-x" },
		"no host":              func(b *directory.Bucket) { b.Endpoint = "https://" },
		"control in endpoint":  func(b *directory.Bucket) { b.Endpoint += "\x00s3cret-of-x" },
		"region":               func(b *directory.Bucket) { b.Region = "us east" },
		"no access key":        func(b *directory.Bucket) { b.AccessKey = "" },
		"no secret":            func(b *directory.Bucket) { b.Secret = "" },
		"secret with a space":  func(b *directory.Bucket) { b.Secret = "s3cret-of-x " },
		"long secret":          func(b *directory.Bucket) { b.Secret = strings.Repeat("s3cret-of-x", 100) },
	} {
		b := bucket("mail")
		b.Secret = "s3cret-of-x"
		change(&b)
		_, err := d.CreateBucket(ctx, b)
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
		if text := fmt.Sprint(err, fault.HintOf(err)); strings.Contains(text, "s3cret") || strings.Contains(text, "AKIA") {
			t.Errorf("%s: the secret is in %q", name, text)
		}
	}
	b := bucket("mail")
	b.Kind, b.Endpoint, b.Secret = "s3", "", "s"
	made, err := d.CreateBucket(ctx, b)
	if err != nil || made.Kind != directory.S3Bucket {
		t.Errorf("got %v, %v, want a bucket at Amazon", made, err)
	}
}

func TestVolumes(t *testing.T) { onEngines(t, testVolumes) }

func testVolumes(t *testing.T, r rig) {
	d, ctx := r.newDirectory(t, directory.Options{}), t.Context()
	b := newBucket(t, d, "mail")
	want := func(mailstore, text string) {
		t.Helper()
		if got := volumesText(t, d, mailstore); got != text {
			t.Errorf("%s has %q, want %q", mailstore, got, text)
		}
	}
	first := []directory.Volume{folder("", "local", "/blobs", false), folder("", "shared", "/shared/", true)}
	first[1].Primary = true
	must(t, d.RegisterVolumes(ctx, mbox1, first))
	want(mbox1, "local shared* ")
	version := must1(d.Version(ctx))(t)
	must(t, d.RegisterVolumes(ctx, mbox1, first)) // a restart
	if after := must1(d.Version(ctx))(t); after != version {
		t.Errorf("the same volumes went from version %d to %d", version, after)
	}
	s3 := inS3(mbox1, "s3", b.ID, "a/b/", true)
	s3.Primary = true
	must(t, d.CreateVolume(ctx, s3))
	want(mbox1, "local s3* shared ")
	must(t, d.RegisterVolumes(ctx, mbox1, first)) // the configuration does not choose the primary one again
	want(mbox1, "local s3* shared ")
	wantKind(t, d.CreateVolume(ctx, s3), fault.Exists)
	wantKind(t, d.DeleteVolume(ctx, mbox1, "s3"), fault.Invalid)
	must(t, d.UpdateVolume(ctx, mbox1, "local", func(v *directory.Volume) error { v.Primary = true; return nil }))
	want(mbox1, "local* s3 shared ")
	must(t, d.DeleteVolume(ctx, mbox1, "s3"))
	want(mbox1, "local* shared ")
	wantKind(t, d.DeleteVolume(ctx, mbox1, "s3"), fault.NotFound)

	must(t, d.RegisterVolumes(ctx, mbox2, []directory.Volume{folder("", "shared", "/mnt/elsewhere", true)}))
	want(mbox2, "shared* ")
	moved := []directory.Volume{folder("", "shared", "/mnt/moved", true)}
	must(t, d.RegisterVolumes(ctx, mbox2, moved))
	all := must1(d.Volumes(ctx))(t)
	if got := all[len(all)-1]; got.Path != "/mnt/moved" || !got.Primary || got.Mailstore != mbox2 {
		t.Errorf("got %+v", got)
	}
	wantKind(t, d.RegisterVolumes(ctx, "unknown.example.com", moved), fault.NotFound)
	must(t, d.DeleteMailstore(ctx, mbox2))
	want(mbox2, "")
}

// A name means one place, and a place has one name.
func TestVolumesAgree(t *testing.T) {
	d, ctx := sqlite.newDirectory(t, directory.Options{}), t.Context()
	a, b := newBucket(t, d, "mail-a"), newBucket(t, d, "mail-b")
	for _, v := range []directory.Volume{
		inS3(mbox1, "s3", a.ID, "x", true), folder(mbox1, "shared", "/shared", true), folder(mbox1, "own", "/own", false),
		inS3(mbox1, "own-s3", b.ID, "x", false),
	} {
		must(t, d.CreateVolume(ctx, v))
	}
	for _, c := range []struct {
		name string
		v    directory.Volume
		kind fault.Kind // Internal: none
	}{
		{"the same centralised one", inS3(mbox2, "s3", a.ID, "x", true), fault.Internal},
		{"the same at another path", folder(mbox2, "shared", "/mnt", true), fault.Internal},
		{"another one's own name", folder(mbox2, "own", "/own", false), fault.Internal},
		{"own, beside it in S3", inS3(mbox2, "own-s3", b.ID, "y", false), fault.Internal},
		{"another prefix", inS3(mbox3, "s3", a.ID, "y", true), fault.Invalid},
		{"another bucket", inS3(mbox3, "s3", b.ID, "x", true), fault.Invalid},
		{"another kind", folder(mbox3, "s3", "/s3", true), fault.Invalid},
		{"not centralised", folder(mbox3, "shared", "/shared", false), fault.Invalid},
		{"own name centralised", folder(mbox3, "own", "/own", true), fault.Invalid},
		{"the place of a centralised one", inS3(mbox3, "t3", a.ID, "x", true), fault.Invalid},
		{"within it", inS3(mbox3, "t3", a.ID, "x/y", true), fault.Invalid},
		{"around it", inS3(mbox3, "t3", a.ID, "", true), fault.Invalid},
		{"beside it", inS3(mbox3, "t3", a.ID, "xy", true), fault.Internal},
		{"the place of another's own", inS3(mbox3, "own-s3", b.ID, "x", false), fault.Invalid},
		{"the folder of another volume", folder(mbox1, "o", "/own/o", false), fault.Invalid},
		{"the root", folder(mbox1, "o", "/", false), fault.Invalid},
		{"unknown bucket", inS3(mbox3, "u", "unknown", "x", true), fault.NotFound},
		{"unknown mailstore", folder("mbox9.example.com", "u", "/u", false), fault.NotFound},
		{"relative", folder(mbox3, "u", "u", false), fault.Invalid},
		{"folder with a bucket", directory.Volume{Mailstore: mbox3, Name: "u", Kind: directory.FolderVolume, Path: "/u", BucketID: a.ID}, fault.Invalid},
		{"S3 with a path", directory.Volume{Mailstore: mbox3, Name: "u", Kind: directory.S3Volume, Path: "/u", BucketID: b.ID}, fault.Invalid},
		{"no kind", directory.Volume{Mailstore: mbox3, Name: "u", Path: "/u"}, fault.Invalid},
		{"no name", folder(mbox3, "", "/u", false), fault.Invalid},
		{"slash", folder(mbox3, "u/u", "/u", false), fault.Invalid},
		{"zero byte", folder(mbox3, "u\x00", "/u", false), fault.Invalid},
		{"not UTF-8", folder(mbox3, "u\xff", "/u", false), fault.Invalid},
		{"long", folder(mbox3, strings.Repeat("u", directory.VolumeNameBytesMax+1), "/u", false), fault.Invalid},
		{"prefix from the root", inS3(mbox3, "u", b.ID, "/u", true), fault.Invalid},
		{"prefix upwards", inS3(mbox3, "u", b.ID, "u/../x", true), fault.Invalid},
		{"prefix of two slashes", inS3(mbox3, "u", b.ID, "u//x", true), fault.Invalid},
		{"long prefix", inS3(mbox3, "u", b.ID, strings.Repeat("u", 600), true), fault.Invalid},
	} {
		err := d.CreateVolume(ctx, c.v)
		if (err == nil) != (c.kind == fault.Internal) || err != nil && !fault.Is(err, c.kind) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.kind)
		}
	}
}

// What blobs are found by does not change under them.
func TestUpdateVolumeKeepsThePlace(t *testing.T) {
	d, ctx := sqlite.newDirectory(t, directory.Options{}), t.Context()
	b := newBucket(t, d, "mail")
	one := inS3(mbox1, "s3", b.ID, "x", true)
	one.Primary = true
	must(t, d.CreateVolume(ctx, one))
	must(t, d.CreateVolume(ctx, inS3(mbox2, "s3", b.ID, "x", true)))
	must(t, d.CreateVolume(ctx, folder(mbox1, "f", "/f", false)))
	for _, c := range []struct {
		name, volume string
		change       func(*directory.Volume)
		refused      bool
	}{
		{"nothing", "s3", func(*directory.Volume) {}, false},
		{"prefix", "s3", func(v *directory.Volume) { v.Prefix = "y" }, true},
		{"bucket", "s3", func(v *directory.Volume) { v.BucketID = "other" }, true},
		{"name", "s3", func(v *directory.Volume) { v.Name = "t3" }, true},
		{"mailstore", "s3", func(v *directory.Volume) { v.Mailstore = mbox3 }, true},
		{"kind", "f", func(v *directory.Volume) { v.Kind, v.Path, v.BucketID = directory.S3Volume, "", b.ID }, true},
		{"not primary", "s3", func(v *directory.Volume) { v.Primary = false }, true},
		{"not centralised while another has it", "s3", func(v *directory.Volume) { v.Centralised = false }, true},
		{"path", "f", func(v *directory.Volume) { v.Path = "/g" }, false},
		{"centralised", "f", func(v *directory.Volume) { v.Centralised = true }, false},
		{"not centralised again", "f", func(v *directory.Volume) { v.Centralised = false }, false},
	} {
		err := d.UpdateVolume(ctx, mbox1, c.volume, func(v *directory.Volume) error { c.change(v); return nil })
		if (err != nil) != c.refused || err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v, want refused=%v", c.name, err, c.refused)
		}
	}
	wantKind(t, d.UpdateVolume(ctx, mbox3, "s3", func(*directory.Volume) error { return nil }), fault.NotFound)
}

// Buckets and volumes are in the copies, secrets included, and events tell of them.
func TestVolumesAreFollowed(t *testing.T) { onEngines(t, testVolumesAreFollowed) }

func testVolumesAreFollowed(t *testing.T, r rig) {
	p := r.newPlatform(t)
	d, ctx := p.directory, t.Context()
	var last directory.Event
	follow := func() {
		t.Helper()
		last = directory.Event{}
		must(t, p.follower.Poll(ctx))
		if all := must1(d.Volumes(ctx))(t); fmt.Sprint(all) != fmt.Sprint(p.copy.AllVolumes()) {
			t.Errorf("the copy has volumes %v, want %v", p.copy.AllVolumes(), all)
		}
		for _, b := range must1(d.Buckets(ctx))(t) {
			if copied, known := p.copy.Bucket(b.ID); !known || copied != b {
				t.Errorf("the copy has %v, want %v", copied, b)
			}
		}
	}
	watch := func() { p.follower.Subscribe(func(e directory.Event) { last = e }) }
	watch()
	follow()
	b := newBucket(t, d, "mail")
	must(t, d.CreateVolume(ctx, inS3(mbox1, "s3", b.ID, "x", true)))
	must(t, d.CreateVolume(ctx, folder(mbox1, "f", "/f", false)))
	follow()
	if fmt.Sprint(last.Buckets, last.Volumes) != fmt.Sprint([]string{b.ID}, []string{mbox1}) || len(p.copy.Volumes(mbox1)) != 2 {
		t.Errorf("told of %v, %v", last.Buckets, last.Volumes)
	}
	must1(d.UpdateBucket(ctx, b.ID, func(b *directory.Bucket) error { b.Secret = "rotated"; return nil }))(t)
	follow()
	if got, _ := p.copy.Bucket(b.ID); got.Secret != "rotated" || len(last.Buckets) != 1 || len(last.Volumes) != 0 {
		t.Errorf("told of %v, %v", last.Buckets, last.Volumes)
	}
	must(t, p.copy.Close())
	p.open(t) // a restart
	watch()
	if got, _ := p.copy.Bucket(b.ID); got.Secret != "rotated" || len(p.copy.AllVolumes()) != 2 {
		t.Error("the copy forgot buckets or volumes")
	}
	must(t, d.DeleteVolume(ctx, mbox1, "s3"))
	must(t, d.DeleteBucket(ctx, b.ID))
	follow()
	if _, known := p.copy.Bucket(b.ID); known || len(p.copy.Buckets()) != 0 || len(p.copy.Volumes(mbox1)) != 1 {
		t.Errorf("the copy has %v, %v", p.copy.Buckets(), p.copy.AllVolumes())
	}
	must(t, d.DeleteMailstore(ctx, mbox1))
	follow()
	if len(p.copy.AllVolumes()) != 0 || fmt.Sprint(last.Volumes) != fmt.Sprint([]string{mbox1}) {
		t.Errorf("told of %v; the copy has %v", last.Volumes, p.copy.AllVolumes())
	}
}

// Exactly one volume is primary, however many are made so at once.
func TestOnePrimaryVolume(t *testing.T) { onEngines(t, testOnePrimaryVolume) }

func testOnePrimaryVolume(t *testing.T, r rig) {
	d := r.newDirectory(t, directory.Options{})
	done := make(chan error)
	for i := range 8 {
		go func() {
			v := folder(mbox1, fmt.Sprint("v", i), fmt.Sprint("/v", i), false)
			v.Primary = i%2 == 0
			err := d.CreateVolume(context.Background(), v)
			if err == nil {
				err = d.UpdateVolume(context.Background(), mbox1, v.Name, func(v *directory.Volume) error { v.Primary = true; return nil })
			}
			done <- err
		}()
	}
	for range 8 {
		must(t, <-done)
	}
	if got := volumesText(t, d, mbox1); strings.Count(got, "*") != 1 || strings.Count(got, "v") != 8 {
		t.Errorf("got %s", got)
	}
}
