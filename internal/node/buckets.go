package node

import (
	"context"
	"errors"

	"mailreplica/internal/account"
	"mailreplica/internal/admin"
	"mailreplica/internal/blob"
	"mailreplica/internal/blob/s3"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailstore"
	"mailreplica/internal/metadata"
)

// volumeProver is this mailstore's way to volumes for an administrator. It implements admin.Volumes.
type volumeProver struct{ n *Node }

// Claim implements admin.Volumes. What it tried is gone again if the place cannot be used; the mark comes last.
func (p volumeProver) Claim(ctx context.Context, v directory.Volume, b directory.Bucket) error {
	return p.prove(ctx, v, b, (*s3.Volume).Claim)
}

// Find implements admin.Volumes. Listing believes nothing without the mark.
func (p volumeProver) Find(ctx context.Context, v directory.Volume, b directory.Bucket) error {
	return p.prove(ctx, v, b, func(volume *s3.Volume, ctx context.Context) error {
		err := volume.List(ctx, "", func(blob.Info) error { return errEnough })
		if errors.Is(err, errEnough) {
			return nil
		}
		return err
	})
}

// errEnough ends a listing of which the beginning is enough.
var errEnough = errors.New("enough")

func (p volumeProver) prove(ctx context.Context, v directory.Volume, b directory.Bucket, mark func(*s3.Volume, context.Context) error) error {
	if _, err := p.TestBucket(ctx, b, v.Prefix); err != nil {
		return err
	}
	volume, err := s3.Open(bucketConfig(b, v.Prefix), v.Name)
	if err != nil {
		return err
	}
	defer volume.Close()
	return mark(volume, ctx)
}

// TestBucket implements admin.Volumes.
func (p volumeProver) TestBucket(ctx context.Context, b directory.Bucket, prefix string) ([]string, error) {
	return s3.Test(ctx, bucketConfig(b, prefix))
}

// InUse implements admin.Volumes.
func (p volumeProver) InUse(ctx context.Context, name string) (used bool, err error) {
	err = p.n.store.View(ctx, func(v *metadata.View) (err error) {
		used, err = v.HasContentOn(name)
		return err
	})
	return used, err
}

// mayTake refuses an account of which this mailstore could not read the messages, for want of a volume. It looks where they
// lie only if it does not reach every volume of the account's home, for looking reads the rows of all contents.
func (n *Node) mayTake(ctx context.Context, a *mailstore.Account) error {
	return n.contentsReached(ctx, a, a.Copy().Primary, n.config.FQDN)
}

// mayGive refuses a copy to a mailstore that could not read the messages. An administrator's command asked for that before;
// but then this mailstore may not have answered, and volumes may have gone since.
func (n *Node) mayGive(ctx context.Context, id account.ID, destination string) error {
	a, held := n.mailstore.Account(id)
	if !held {
		return nil // the one that gives copies says so
	}
	return n.contentsReached(ctx, a, n.config.FQDN, destination)
}

func (n *Node) contentsReached(ctx context.Context, a *mailstore.Account, home, by string) error {
	reach := admin.Reach{Copy: n.copy}
	if reach.All(home, by) {
		return nil
	}
	var volumes []string
	err := n.store.View(ctx, func(v *metadata.View) (err error) {
		volumes, err = v.ContentVolumes(a.MailboxID())
		return err
	})
	if err != nil {
		return err
	}
	if err := reach.Contents(home, volumes, by); err != nil {
		// The hint is part of it: the result of a fence has no room for another.
		return fault.Wrap(fault.KindOf(err), err, "it has messages on %s (%s)", fault.Message(err), fault.HintOf(err))
	}
	return nil
}

// configured are the volumes of the configuration as the directory knows them.
func (n *Node) configured() []directory.Volume {
	all := make([]directory.Volume, len(n.config.Volumes))
	for i, v := range n.config.Volumes {
		all[i] = directory.Volume{
			Mailstore: n.config.FQDN, Name: v.Name, Kind: directory.FolderVolume, Path: v.Path, Centralised: v.Centralised,
			Primary: v.Name == n.config.PrimaryVolume,
		}
	}
	return all
}

func bucketConfig(b directory.Bucket, prefix string) s3.Config {
	return s3.Config{
		Endpoint: b.Endpoint, Region: b.Region, Bucket: b.Name, Prefix: prefix, AccessKey: b.AccessKey, Secret: b.Secret,
		PathStyle: b.PathStyle,
	}
}
