package admin

import "context"

// ListBuckets is Admin.ListBuckets.
func (c *Client) ListBuckets(ctx context.Context, kind string) ([]Bucket, error) {
	return call[[]Bucket](ctx, c, commandListBuckets, Named{kind})
}

// CreateBucket is Admin.CreateBucket.
func (c *Client) CreateBucket(ctx context.Context, in CreateBucket) (Bucket, error) {
	return call[Bucket](ctx, c, commandCreateBucket, in)
}

// UpdateBucket is Admin.UpdateBucket.
func (c *Client) UpdateBucket(ctx context.Context, in UpdateBucket) (Bucket, error) {
	return call[Bucket](ctx, c, commandUpdateBucket, in)
}

// DeleteBucket is Admin.DeleteBucket.
func (c *Client) DeleteBucket(ctx context.Context, id string) error {
	_, err := call[nothing](ctx, c, commandDeleteBucket, Named{id})
	return err
}

// TestBucket is Admin.TestBucket.
func (c *Client) TestBucket(ctx context.Context, in TestBucket) (BucketTest, error) {
	return call[BucketTest](ctx, c, commandTestBucket, in)
}

// GetAllVolumes is Admin.GetAllVolumes.
func (c *Client) GetAllVolumes(ctx context.Context) ([]Volume, error) {
	return call[[]Volume](ctx, c, commandGetAllVolumes, nothing{})
}

// CreateVolume is Admin.CreateVolume.
func (c *Client) CreateVolume(ctx context.Context, in CreateVolume) (Volume, error) {
	return call[Volume](ctx, c, commandCreateVolume, in)
}

// CreateCentralized is Admin.CreateCentralized.
func (c *Client) CreateCentralized(ctx context.Context, in CreateCentralized) (Volume, error) {
	return call[Volume](ctx, c, commandCreateCentralized, in)
}

// UpdateVolume is Admin.UpdateVolume.
func (c *Client) UpdateVolume(ctx context.Context, in UpdateVolume) (Volume, error) {
	return call[Volume](ctx, c, commandUpdateVolume, in)
}

// DeleteVolume is Admin.DeleteVolume.
func (c *Client) DeleteVolume(ctx context.Context, name string) error {
	_, err := call[nothing](ctx, c, commandDeleteVolume, Named{name})
	return err
}

// CheckBlobs is Admin.CheckBlobs.
func (c *Client) CheckBlobs(ctx context.Context, in CheckBlobs) (Started, error) {
	return call[Started](ctx, c, commandCheckBlobs, in)
}

// GetBlobReport is Admin.GetBlobReport.
func (c *Client) GetBlobReport(ctx context.Context, operationID string) ([]BlobReport, error) {
	return call[[]BlobReport](ctx, c, commandGetBlobReport, Named{operationID})
}
