package admin

import (
	"context"
	"maps"
	"slices"
	"strings"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

// Reach tells from a copy of the directory which mailstore reaches the blobs of which. A replica can be promoted only where the
// blobs of its messages are reached: so whoever holds a copy of an account must reach the primary volume of whoever may be its
// home, and the volumes that its messages lie on already.
type Reach struct{ Copy *directory.Copy }

func (r Reach) volume(mailstore, name string) (directory.Volume, bool) {
	for _, v := range r.Copy.Volumes(mailstore) {
		if v.Name == name {
			return v, true
		}
	}
	return directory.Volume{}, false
}

// primary is the volume that new blobs of a mailstore go to.
func (r Reach) primary(mailstore string) (directory.Volume, bool) {
	for _, v := range r.Copy.Volumes(mailstore) {
		if v.Primary {
			return v, true
		}
	}
	return directory.Volume{}, false
}

// reaches reports whether a mailstore reaches the blobs on a volume of another one.
func (r Reach) reaches(mailstore string, v directory.Volume) bool {
	its, has := r.volume(mailstore, v.Name)
	if mailstore == v.Mailstore {
		return has
	}
	if !has || !its.Centralised || !v.Centralised || its.Kind != v.Kind {
		return false
	}
	if v.Kind != directory.S3Volume {
		return true // a folder has a path of its own on every mailstore, and a mark inside that was looked at when it was opened
	}
	one, known := r.Copy.Bucket(its.BucketID)
	two, also := r.Copy.Bucket(v.BucketID)
	return known && also && its.Prefix == v.Prefix && samePlace(one, two)
}

// sharing are the other mailstores that hold copies of accounts of which this one holds a copy.
func (a *Admin) sharing(mailstore string) []string {
	found := map[string]bool{}
	for _, one := range a.copy.Accounts(func(one *directory.Account) bool { return a.hasReplica(one.ID) }) {
		members := a.members(one)
		if slices.Contains(members, mailstore) {
			for _, m := range members {
				found[m] = m != mailstore
			}
		}
	}
	maps.DeleteFunc(found, func(_ string, other bool) bool { return !other })
	return slices.Sorted(maps.Keys(found))
}

// members are the mailstores that hold copies of an account, or are to.
func (a *Admin) members(one directory.Account) []string {
	members := []string{one.MailHost}
	for _, r := range a.copy.Replicas(one.ID) {
		if !r.Removing && r.Mailstore != one.MailHost {
			members = append(members, r.Mailstore)
		}
	}
	return members
}

// mayBePrimary checks that new messages on a volume of this mailstore can be read wherever copies of its accounts are.
func (a *Admin) mayBePrimary(v directory.Volume) error {
	others := a.sharing(v.Mailstore)
	if len(others) == 0 {
		return nil
	}
	if !v.Centralised {
		hint := "make it with centralized true"
		if _, recorded := a.reach.volume(v.Mailstore, v.Name); recorded {
			hint = a.reach.mendingCentralised(v)
		}
		return fault.New(fault.VolumeUnavailable, "the volume %s of %s is not centralised, and %s could not read its new messages",
			v.Name, v.Mailstore, strings.Join(others, ", ")).WithHint("%s", hint)
	}
	for _, other := range others {
		if !a.reach.reaches(other, v) {
			return a.reach.lacks(other, v)
		}
	}
	return nil
}

// lacks says that a mailstore does not reach a centralised volume, and how that is mended.
func (r Reach) lacks(mailstore string, v directory.Volume) error {
	refused := fault.New(fault.VolumeUnavailable, "%s does not have the volume %s of %s, and could not read messages there", mailstore, v.Name, v.Mailstore)
	if v.Kind != directory.S3Volume {
		return refused.WithHint("name the volume %s, with its path there and centralised: true, in the configuration of %s, and restart that mailstore",
			v.Name, mailstore)
	}
	if _, recorded := r.volume(v.Mailstore, v.Name); !recorded { // it is only about to be made, as primary
		return refused.WithHint("make it secondary, give it to %s: carbonio --host %s powerstore doCreateVolume Centralized %s %s; then make it primary",
			mailstore, mailstore, v.Mailstore, v.Name)
	}
	return refused.WithHint("carbonio --host %s powerstore doCreateVolume Centralized %s %s", mailstore, v.Mailstore, v.Name)
}

func (r Reach) notCentralised(v directory.Volume) error {
	return fault.New(fault.VolumeUnavailable, "the primary volume %s of %s is not centralised: others could not read its blobs", v.Name, v.Mailstore).
		WithHint("%s", r.mendingCentralised(v))
}

// mendingCentralised says how the messages of a mailstore come to lie on a volume that others reach.
func (r Reach) mendingCentralised(v directory.Volume) string {
	if v.Kind == directory.S3Volume {
		return "carbonio --host " + v.Mailstore + " powerstore doUpdateVolume " + v.Name + " centralized true"
	}
	const move = ", or move the folder to storage that every mailstore reaches, and say centralised: true of it in the mailstore's configuration"
	for _, other := range r.Copy.AllVolumes() {
		switch {
		case !other.Centralised || other.Kind != directory.S3Volume:
		case other.Mailstore == v.Mailstore:
			return "carbonio --host " + v.Mailstore + " powerstore doUpdateVolume " + other.Name + " volume_type primary" + move
		default:
			if _, has := r.volume(v.Mailstore, other.Name); !has {
				return "carbonio --host " + v.Mailstore + " powerstore doCreateVolume Centralized " + other.Mailstore + " " + other.Name +
					" volume_type primary" + move
			}
		}
	}
	return "carbonio --host " + v.Mailstore + " powerstore doCreateVolume S3 NAME primary BUCKET centralized true" + move
}

// mayShareBlobs checks that a destination reaches the messages of accounts, those that come and those that are there, and that
// after a promotion the other mailstores with copies of them reach those of the destination. It gives the homes that did not
// say where messages lie: the operation asks them when they answer.
func (a *Admin) mayShareBlobs(ctx context.Context, chosen []directory.Account, destination string) (unasked []string, err error) {
	checked := map[[2]string]bool{}
	byHome := map[string][]account.ID{}
	for _, one := range chosen {
		byHome[one.MailHost] = append(byHome[one.MailHost], one.ID)
		for _, member := range a.members(one) {
			for _, pair := range [][2]string{{member, destination}, {destination, member}} {
				if member == destination || checked[pair] {
					continue
				}
				if err := a.reach.primaryReached(pair[0], pair[1]); err != nil {
					return nil, err
				}
				checked[pair] = true
			}
		}
	}
	for _, home := range slices.Sorted(maps.Keys(byHome)) {
		asked, err := a.contentsReached(ctx, home, byHome[home], destination)
		if err != nil {
			return nil, err
		}
		if !asked {
			unasked = append(unasked, home)
		}
	}
	return unasked, nil
}

// primaryReached checks that new messages of one mailstore can be read by another.
func (r Reach) primaryReached(home, by string) error {
	v, has := r.primary(home)
	switch {
	case !has:
		return fault.New(fault.VolumeUnavailable, "%s has no primary volume, or has not told of it yet", home).
			WithHint("start it, and see carbonio --host %s powerstore getAllVolumes", home)
	case !v.Centralised:
		return r.notCentralised(v)
	case !r.reaches(by, v):
		return r.lacks(by, v)
	}
	return nil
}

// contentsReached checks that a destination reaches the messages that accounts have already. If it has every volume of their
// home, there is nothing to ask; else the home looks where their contents lie. A home that does not answer (asked is false)
// gives no copy meanwhile, and looks itself before it gives one.
func (a *Admin) contentsReached(ctx context.Context, home string, ids []account.ID, destination string) (asked bool, err error) {
	if a.reach.All(home, destination) {
		return true, nil
	}
	addr, err := a.peerAddr(home)
	if err != nil {
		return false, err
	}
	for part := range slices.Chunk(ids, askContentsMax) {
		found, err := a.Peers.Volumes(ctx, addr, part)
		if fault.Is(err, fault.HomeUnreachable) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		for _, one := range found {
			if err := a.reach.Contents(home, one.Volumes, destination); err != nil {
				return true, fault.Wrap(fault.KindOf(err), err, "%s has messages on %s", nameOf(a.copy, one.Account.String()), fault.Message(err)).
					WithHint("%s", fault.HintOf(err))
			}
		}
	}
	return true, nil
}

// askContentsMax is how many accounts a home is asked about at once: it reads all rows of their contents, and must answer in
// time.
const askContentsMax = 100

// All reports whether a mailstore reaches every volume of another one. If so, nobody need look where contents lie.
func (r Reach) All(home, by string) bool {
	all := r.Copy.Volumes(home)
	for _, v := range all {
		if !r.reaches(by, v) {
			return false
		}
	}
	return len(all) > 0
}

// Contents checks that a mailstore reaches the contents of another one's copy, which lie on the volumes named. The error begins
// with the volume that it does not reach.
func (r Reach) Contents(home string, volumes []string, by string) error {
	for _, name := range volumes {
		v, known := r.volume(home, name)
		if !known { // its home is no more, or has lost the volume
			v, known = r.centralised(name)
		}
		switch {
		case !known:
			return fault.New(fault.VolumeUnavailable, "the volume %s, which no mailstore has any more", name).
				WithHint("MailReplica getAccountStatus names the home; name the volume in its configuration again")
		case v.Centralised && r.reaches(by, v):
		case v.Centralised:
			missing := r.lacks(by, v)
			return fault.Wrap(fault.KindOf(missing), missing, "the volume %s: %s", name, fault.Message(missing)).WithHint("%s", fault.HintOf(missing))
		case v.Mailstore != by:
			return fault.New(fault.VolumeUnavailable, "the volume %s of %s, which is not centralised: %s could not read them", name, v.Mailstore, by).
				WithHint("%s", r.mendingContents(v))
		}
	}
	return nil
}

// centralised finds a centralised volume on any mailstore.
func (r Reach) centralised(name string) (directory.Volume, bool) {
	for _, v := range r.Copy.AllVolumes() {
		if v.Name == name && v.Centralised {
			return v, true
		}
	}
	return directory.Volume{}, false
}

// mendingContents says how others come to reach the messages that lie on a volume. Another primary volume would not help.
func (r Reach) mendingContents(v directory.Volume) string {
	if v.Kind == directory.S3Volume {
		return r.mendingCentralised(v)
	}
	return "move its folder to storage that every mailstore reaches, say centralised: true of it in the configuration of " + v.Mailstore +
		", and restart that mailstore"
}
