package admin_test

import (
	"fmt"
	"strings"
	"testing"

	"mailreplica/internal/admin"
	"mailreplica/internal/admin/admintest"
	"mailreplica/internal/fault"
)

// central is a centralised volume in a bucket.
func central(bucket, volumeType string) admin.CreateVolume {
	return admin.CreateVolume{Name: "central", Type: volumeType, Bucket: bucket, Centralized: true}
}

// shown gives the volumes of a mailstore in a few words each.
func shown(t *testing.T, p *admintest.Platform, i int) string {
	t.Helper()
	all, err := client(t, p, i).GetAllVolumes(t.Context())
	must(t, err)
	var words []string
	for _, v := range all {
		word := v.Name + " " + v.StoreType + " " + v.VolumeType
		if v.Centralized {
			word += " centralized"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func wantVolumes(t *testing.T, p *admintest.Platform, i int, want string) {
	t.Helper()
	if got := shown(t, p, i); got != want {
		t.Errorf("mailstore %d has %q, want %q", i, got, want)
	}
}

func TestVolumes(t *testing.T) {
	p := admintest.Start(t, 2)
	one, two := client(t, p, 1), client(t, p, 2)
	_, err := one.CreateBucket(t.Context(), aBucket("mail"))
	must(t, err)
	made, err := one.CreateVolume(t.Context(), central("mail", "primary"))
	must(t, err)
	if made.BucketName != "mail" || !made.IsCurrent || made.Mailstore != admintest.Name(1) {
		t.Errorf("got %+v", made)
	}
	wantVolumes(t, p, 1, "blobs FileBlob secondary centralized, central MinIO primary centralized, local FileBlob secondary")
	_, err = two.CreateCentralized(t.Context(), admin.CreateCentralized{Server: strings.ToUpper(admintest.Name(1)), Name: "central"})
	must(t, err)
	wantVolumes(t, p, 2, "blobs FileBlob secondary centralized, central MinIO primary centralized, local FileBlob secondary")

	secondary, yes := "secondary", true
	_, err = two.UpdateVolume(t.Context(), admin.UpdateVolume{Name: "central", Type: &secondary})
	wantFault(t, err, fault.Invalid, "only primary")
	_, err = two.UpdateVolume(t.Context(), admin.UpdateVolume{Name: "blobs", Current: &yes})
	must(t, err)
	wantVolumes(t, p, 2, "blobs FileBlob primary centralized, central MinIO secondary centralized, local FileBlob secondary")

	a := p.Account(t, 2, "a@example.com")
	p.Mailstores[1].PutContents(a.ID, "central")
	wantFault(t, two.DeleteVolume(t.Context(), "central"), fault.Invalid, "have messages on the volume central")
	p.Mailstores[1].PutContents(a.ID)
	wantFault(t, two.DeleteVolume(t.Context(), "blobs"), fault.Invalid, "a folder of the mailstore's configuration")
	wantFault(t, one.DeleteVolume(t.Context(), "central"), fault.Invalid, "new messages of mbox1")
	wantFault(t, one.DeleteVolume(t.Context(), "other"), fault.NotFound, "other")
	must(t, two.DeleteVolume(t.Context(), "central"))
	wantVolumes(t, p, 2, "blobs FileBlob primary centralized, local FileBlob secondary")
}

func TestCreateVolumeRefuses(t *testing.T) {
	p := admintest.Start(t, 2)
	one, two := client(t, p, 1), client(t, p, 2)
	made, err := one.CreateBucket(t.Context(), aBucket("mail"))
	must(t, err)
	in := central("mail", "secondary")
	in.Prefix = "/site/a/"
	_, err = one.CreateVolume(t.Context(), in)
	must(t, err)
	own := admin.CreateVolume{Name: "own", Type: "secondary", Bucket: made.ID, Prefix: "own"}
	_, err = one.CreateVolume(t.Context(), own)
	must(t, err)
	wrong := aBucket("wrong")
	wrong.Secret = "wrong"
	_, err = one.CreateBucket(t.Context(), wrong)
	must(t, err)
	before, err := p.Directory.Version(t.Context())
	must(t, err)
	for name, test := range map[string]struct {
		c      *admin.Client
		change func(*admin.CreateVolume)
		kind   fault.Kind
		want   string
	}{
		"name of a word":           {one, func(v *admin.CreateVolume) { v.Name = "centralized" }, fault.Invalid, "cannot be the name"},
		"name of two words":        {one, func(v *admin.CreateVolume) { v.Name = "a b" }, fault.Invalid, "cannot be the name"},
		"name of a volume here":    {one, func(v *admin.CreateVolume) { v.Name = "central" }, fault.Exists, "mbox1.example.com has a volume central already"},
		"name of another's":        {two, func(v *admin.CreateVolume) { v.Name = "central" }, fault.Exists, "mbox1.example.com has a volume central"},
		"type":                     {one, func(v *admin.CreateVolume) { v.Type = "tertiary" }, fault.Invalid, "tertiary"},
		"bucket":                   {one, func(v *admin.CreateVolume) { v.Bucket = "none" }, fault.NotFound, "none"},
		"prefix":                   {one, func(v *admin.CreateVolume) { v.Prefix = "a//b" }, fault.Invalid, "prefix"},
		"place of another volume":  {one, func(v *admin.CreateVolume) { v.Prefix = "site/a" }, fault.Exists, "of the volume central"},
		"place above another's":    {two, func(v *admin.CreateVolume) { v.Prefix = "site" }, fault.Exists, "of the volume central"},
		"place below another's":    {two, func(v *admin.CreateVolume) { v.Prefix = "site/a/b" }, fault.Exists, "of the volume central"},
		"the whole bucket":         {two, func(v *admin.CreateVolume) { v.Prefix = "" }, fault.Exists, "is that of the volume"},
		"bucket that refuses":      {one, func(v *admin.CreateVolume) { v.Bucket = "wrong" }, fault.Denied, "refuses"},
		"a name of its own, again": {two, func(v *admin.CreateVolume) { v.Name, v.Prefix = "own", "own" }, fault.Exists, "of the volume own of mbox1"},
	} {
		t.Run(name, func(t *testing.T) {
			in := admin.CreateVolume{Name: "new", Type: "primary", Bucket: "mail", Prefix: "new"}
			test.change(&in)
			_, err := test.c.CreateVolume(t.Context(), in)
			wantFault(t, err, test.kind, test.want)
		})
	}
	for name, test := range map[string]struct {
		server, volume string
		kind           fault.Kind
		want           string
	}{
		"unknown mailstore": {"mbox9.example.com", "central", fault.NotFound, "mbox9"},
		"itself":            {admintest.Name(2), "blobs", fault.Invalid, "was asked"},
		"unknown volume":    {admintest.Name(1), "none", fault.NotFound, "no volume"},
		"its own":           {admintest.Name(1), "own", fault.Invalid, "not centralised"},
		"a folder":          {admintest.Name(1), "blobs", fault.Invalid, "is a folder"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := two.CreateCentralized(t.Context(), admin.CreateCentralized{Server: test.server, Name: test.volume})
			wantFault(t, err, test.kind, test.want)
		})
	}
	after, err := p.Directory.Version(t.Context())
	must(t, err)
	if before != after {
		t.Error("what was refused changed the directory")
	}
}

// New messages never go where a mailstore with a copy of them does not reach.
func TestPrimaryVolumeOfSharedAccounts(t *testing.T) {
	p := admintest.Start(t, 3)
	one, two, three := client(t, p, 1), client(t, p, 2), client(t, p, 3)
	_, err := one.CreateBucket(t.Context(), aBucket("mail"))
	must(t, err)
	a := p.Account(t, 1, "a@example.com")
	p.Replica(t, a.ID, 2, 10)
	p.Replica(t, a.ID, 3, 20)

	own := admin.CreateVolume{Name: "own", Type: "primary", Bucket: "mail", Prefix: "own"}
	_, err = one.CreateVolume(t.Context(), own)
	wantFault(t, err, fault.VolumeUnavailable, "the volume own of mbox1.example.com is not centralised")
	_, err = one.CreateVolume(t.Context(), central("mail", "primary"))
	wantFault(t, err, fault.VolumeUnavailable, "mbox2.example.com does not have the volume central")
	if hint := fault.HintOf(err); !strings.Contains(hint, "secondary") || !strings.Contains(hint, "--host mbox2.example.com powerstore doCreateVolume Centralized mbox1.example.com central") {
		t.Errorf("got hint %q", hint)
	}
	_, err = one.CreateVolume(t.Context(), central("mail", "secondary"))
	must(t, err)
	primary := "primary"
	_, err = one.UpdateVolume(t.Context(), admin.UpdateVolume{Name: "central", Type: &primary})
	wantFault(t, err, fault.VolumeUnavailable, "mbox2.example.com does not have the volume central")
	for _, c := range []*admin.Client{two, three} {
		_, err = c.CreateCentralized(t.Context(), admin.CreateCentralized{Server: admintest.Name(1), Name: "central"})
		must(t, err)
	}
	_, err = one.UpdateVolume(t.Context(), admin.UpdateVolume{Name: "central", Type: &primary})
	must(t, err)
	wantFault(t, two.DeleteVolume(t.Context(), "central"), fault.Invalid, "holds replicas of accounts of mbox1.example.com")
	no := false
	_, err = three.UpdateVolume(t.Context(), admin.UpdateVolume{Name: "central", Centralized: &no})
	wantFault(t, err, fault.Invalid, "uses the volume central, too")
	_, err = one.UpdateVolume(t.Context(), admin.UpdateVolume{Name: "blobs", Centralized: &no})
	wantFault(t, err, fault.Invalid, "is a folder")
}

// Every refusal names the volume and the command that mends it, and following them leads to a replica.
func TestSetDestinationAndVolumes(t *testing.T) {
	p := admintest.Start(t, 2)
	one, two := client(t, p, 1), client(t, p, 2)
	a := p.Account(t, 1, "a@example.com")
	p.Mailstores[0].PutContents(a.ID, "central")
	set := admin.SetDestination{Selection: named("a@example.com"), Destination: admintest.Name(2), Priority: 10}
	refusal := func(message, hint string) {
		t.Helper()
		_, err := one.SetDestination(t.Context(), set)
		wantFault(t, err, fault.VolumeUnavailable, message)
		if got := fault.HintOf(err); !strings.Contains(got, hint) {
			t.Errorf("got hint %q, want one with %q", got, hint)
		}
	}
	p.UseFolderVolume(t, 1, admintest.OwnVolume)
	refusal("the primary volume local of mbox1.example.com is not centralised", "carbonio --host mbox1.example.com powerstore doCreateVolume S3 NAME primary BUCKET centralized true")
	_, err := one.CreateBucket(t.Context(), aBucket("mail"))
	must(t, err)
	made := central("mail", "primary")
	made.Centralized = false
	_, err = one.CreateVolume(t.Context(), made)
	must(t, err)
	refusal("the primary volume central of mbox1.example.com is not centralised", "carbonio --host mbox1.example.com powerstore doUpdateVolume central centralized true")
	yes := true
	_, err = one.UpdateVolume(t.Context(), admin.UpdateVolume{Name: "central", Centralized: &yes})
	must(t, err)
	refusal("mbox2.example.com does not have the volume central of mbox1.example.com", "carbonio --host mbox2.example.com powerstore doCreateVolume Centralized mbox1.example.com central")
	_, err = two.CreateCentralized(t.Context(), admin.CreateCentralized{Server: admintest.Name(1), Name: "central"})
	must(t, err)
	p.Mailstores[0].PutContents(a.ID, "central", admintest.OwnVolume)
	refusal("a@example.com has messages on the volume local of mbox1.example.com, which is not centralised", "centralised: true")
	p.Mailstores[0].PutContents(a.ID, "central")
	_, err = one.SetDestination(t.Context(), set)
	must(t, err)
}

// What was centralised on both sides under one name must be one place.
func TestVolumesOfOneNameInTwoPlaces(t *testing.T) {
	p := admintest.Start(t, 2)
	one := client(t, p, 1)
	for _, name := range []string{"mail", "other"} {
		_, err := one.CreateBucket(t.Context(), aBucket(name))
		must(t, err)
	}
	_, err := one.CreateVolume(t.Context(), central("mail", "primary"))
	must(t, err)
	_, err = client(t, p, 2).CreateVolume(t.Context(), central("other", "primary"))
	wantFault(t, err, fault.Exists, "mbox1.example.com has a volume central")
	if hint := fault.HintOf(err); !strings.Contains(hint, fmt.Sprintf("doCreateVolume Centralized %s central", admintest.Name(1))) {
		t.Errorf("got hint %q", hint)
	}
}

// A home that does not say where messages lie is asked by the operation, as soon as it answers.
func TestContentsOfAHomeThatWasAway(t *testing.T) {
	p := admintest.Start(t, 2)
	one := client(t, p, 1)
	a := p.Account(t, 1, "a@example.com")
	p.Mailstores[0].PutContents(a.ID, admintest.OwnVolume)
	p.Mailstores[0].HideContents(true)
	p.Mailstores[1].SetLogAway(true) // so that no replica comes to be
	started, err := one.SetDestination(t.Context(), admin.SetDestination{Selection: named("a@example.com"), Destination: admintest.Name(2)})
	must(t, err)
	p.Mailstores[0].HideContents(false)
	admintest.Eventually(t, "the end of the operation", func() bool {
		op, err := one.GetOperation(t.Context(), started.OperationID)
		must(t, err)
		return op.Finished()
	})
	failed, err := one.GetFailures(t.Context(), admin.GetFailures{ID: started.OperationID})
	must(t, err)
	if len(failed.Values) != 1 || !strings.Contains(failed.Values[0].Reason, "has messages on the volume local of mbox1.example.com, which is not centralised") {
		t.Errorf("got %+v", failed.Values)
	}
}
