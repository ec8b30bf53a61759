package s3

import (
	"context"
	"path"

	"github.com/minio/minio-go/v7"

	"mailreplica/internal/blob"
	"mailreplica/internal/fault"
)

const pageKeys = 1000 // the most that S3 gives at once

// List implements blob.Volume. S3 lists keys in the order of their bytes; the digits before a name are its own first ones, so
// that is the order of names. The marker is asked for before and after: a bucket that was emptied or changed for another lists
// as one without blobs, and whoever compares a list with what should be there must not believe that.
func (v *Volume) List(ctx context.Context, after string, fn func(blob.Info) error) error {
	if err := v.checkMarker(ctx); err != nil {
		return err
	}
	l := &lister{volume: v, after: after, fn: fn}
	for {
		before := l.listed
		err := v.try(ctx, "listing blobs", l.pages)
		switch {
		case l.stopped != nil:
			return l.stopped
		case err == nil:
			return v.checkMarker(ctx)
		case l.listed == before || fault.Is(err, fault.Interrupted):
			return err
		}
		// Something was listed since the server failed last: its patience begins anew.
	}
}

type lister struct {
	volume  *Volume
	after   string
	fn      func(blob.Info) error
	listed  int
	stopped error // by fn, or because the list is none
}

// pages lists from after to the end. When it is called again after an error it goes on behind what was listed.
func (l *lister) pages(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	base := l.volume.prefix + blobsName + "/"
	withoutOwner := false
	options := minio.ListObjectsOptions{Prefix: base, Recursive: true, MaxKeys: pageKeys, FetchOwner: &withoutOwner}
	if len(l.after) >= 2 {
		options.StartAfter = base + l.after[:2] + "/" + l.after
	}
	for object := range l.volume.client.ListObjectsIter(ctx, l.volume.config.Bucket, options) {
		if object.Err != nil {
			return object.Err
		}
		name := path.Base(object.Key)
		if blob.CheckName(name) != nil || object.Key != l.volume.key(name) || l.listed == 0 && name <= l.after {
			continue
		}
		if name <= l.after {
			l.stopped = unavailable(nil, "volume %s: the server does not list in the order of keys: %s after %s", l.volume.id, name, l.after).
				WithHint("use a bucket that lists in order; directory buckets of S3 Express do not")
			return nil
		}
		l.after = name
		l.listed++
		if l.stopped = l.fn(blob.Info{Name: name, Size: object.Size, Modified: object.LastModified}); l.stopped != nil {
			return nil
		}
	}
	return ctx.Err() // an iterator whose context ended just ends
}
