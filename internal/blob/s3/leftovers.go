package s3

import (
	"context"
	"path"
	"time"

	"github.com/minio/minio-go/v7"

	"mailreplica/internal/blob"
)

const (
	// leftoverAge is how old a multipart upload is before it is taken for the leftover of a crash. Several mailstores write to
	// one volume; none of them writes a blob for that long.
	leftoverAge = 24 * time.Hour

	sweepEvery = 24 * time.Hour
	sweepMax   = 10 * time.Minute
)

// sweepDaily looks for leftovers beside what goes on, if nobody did within a day. It is called by whoever may leave one. An
// upload that stays costs space and nothing else, so that a failure waits for the next day; Test shows what is not permitted.
func (v *Volume) sweepDaily() {
	v.mu.Lock()
	due := time.Since(v.swept) > sweepEvery
	if due {
		v.swept = time.Now()
	}
	v.mu.Unlock()
	if !due || v.life.Err() != nil {
		return
	}
	v.work.Go(func() {
		ctx, cancel := context.WithTimeout(v.life, sweepMax)
		defer cancel()
		_, _ = v.RemoveLeftovers(ctx, time.Now().Add(-leftoverAge))
	})
}

// RemoveLeftovers ends multipart uploads that began before a time and were neither finished nor ended: a process that wrote
// them is gone. It returns how many.
func (v *Volume) RemoveLeftovers(ctx context.Context, before time.Time) (int, error) {
	removed := 0
	err := v.try(ctx, "looking for unfinished uploads", func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		uploads := v.client.ListIncompleteUploads(ctx, v.config.Bucket, v.prefix+blobsName+"/", true)
		defer func() {
			cancel()
			for range uploads { // its sender waits otherwise
			}
		}()
		for upload := range uploads {
			if upload.Err != nil {
				return upload.Err
			}
			name := path.Base(upload.Key)
			if blob.CheckName(name) != nil || upload.Key != v.key(name) || !upload.Initiated.Before(before) {
				continue
			}
			err := v.client.AbortMultipartUpload(ctx, v.config.Bucket, upload.Key, upload.UploadID)
			if err != nil && codeOf(err) != minio.NoSuchUpload {
				return err
			}
			removed++
		}
		return ctx.Err()
	})
	return removed, err
}
