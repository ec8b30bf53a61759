package node

import (
	"context"
	"slices"
	"sync"

	"mailreplica/internal/blob"
	"mailreplica/internal/blob/cache"
	"mailreplica/internal/blob/dir"
	"mailreplica/internal/blob/s3"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
)

// volumes are those of this mailstore, opened: folders that its configuration names, and S3 volumes that the directory does.
type volumes struct {
	set *blob.Set

	mu      sync.Mutex // held while volumes are opened
	folders []blob.Volume
	buckets map[string]opened // by the volume's name
	closing []*s3.Volume      // every one opened: a blob may be read with settings that are no longer current
	cache   *cache.Cache      // made with the first S3 volume
}

// close ends the use of buckets. Folders end by themselves.
func (v *volumes) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, bucket := range v.closing {
		bucket.Close()
	}
	if v.cache != nil {
		v.cache.Close()
	}
}

// cacheStats are zero while there is no cache.
func (v *volumes) cacheStats() cache.Stats {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.cache == nil {
		return cache.Stats{}
	}
	return v.cache.Stats()
}

// opened is an S3 volume, and the settings that it was opened with.
type opened struct {
	settings s3.Config
	volume   blob.Volume // through the cache
}

// openFolders opens the volumes of the configuration. One that cannot be opened keeps the mailstore from starting: a disk that is
// not mounted is better noticed now than at the first message.
func (n *Node) openFolders() error {
	n.volumes.set = blob.NewSet("")
	n.volumes.buckets = map[string]opened{}
	n.atStop(func(context.Context) error {
		n.volumes.close()
		return nil
	})
	for _, v := range n.config.Volumes {
		volume, err := dir.Open(v.Path, v.Name)
		if err != nil {
			return err
		}
		n.atStop(func(context.Context) error {
			volume.Close()
			return nil
		})
		n.volumes.folders = append(n.volumes.folders, n.reached(volume))
	}
	return nil
}

// useVolumes makes the set what the directory's copy says. It needs no network: a volume that is away answers when it is back.
func (n *Node) useVolumes() {
	v := &n.volumes
	v.mu.Lock()
	defer v.mu.Unlock()
	primary := n.config.PrimaryVolume // until the directory knows better
	all := slices.Clone(v.folders)
	for _, record := range n.copy.Volumes(n.config.FQDN) {
		if record.Primary {
			primary = record.Name
		}
		if record.Kind != directory.S3Volume {
			continue
		}
		volume, err := n.openBucket(record)
		if err != nil {
			n.logger.Error("a volume cannot be used", "volume", record.Name, "error", err)
			continue
		}
		all = append(all, volume)
	}
	v.set.Replace(primary, all...)
}

// openBucket opens an S3 volume, unless it is open with the same settings. The caller holds volumes.mu.
func (n *Node) openBucket(record directory.Volume) (blob.Volume, error) {
	v := &n.volumes
	settings, err := n.bucketSettings(record)
	if err != nil {
		return nil, err
	}
	if known, ok := v.buckets[record.Name]; ok && known.settings == settings {
		return known.volume, nil
	}
	bucket, err := s3.Open(settings, record.Name)
	if err != nil {
		return nil, err
	}
	v.closing = append(v.closing, bucket)
	v.buckets[record.Name] = opened{settings, n.reached(n.near(bucket))}
	return v.buckets[record.Name].volume, nil
}

// near puts the cache before a volume. Without one everything works, and is slower: a cache that cannot be used is no reason to
// refuse mail. The caller holds volumes.mu.
func (n *Node) near(volume blob.Volume) blob.Volume {
	v := &n.volumes
	if v.cache == nil {
		opened, err := cache.Open(n.config.CacheFolder(), n.config.BlobCache.BytesMax, n.logger)
		if err != nil {
			n.logger.Error("the blob cache cannot be used; bodies are read from their volumes", "error", err, "hint", fault.HintOf(err))
			return volume
		}
		v.cache = opened
	}
	return v.cache.Wrap(volume)
}

// reached is a volume as this mailstore reaches it.
func (n *Node) reached(v blob.Volume) blob.Volume {
	if n.world.Volume == nil {
		return v
	}
	return n.world.Volume(v)
}

// bucketSettings is how an S3 volume is reached.
func (n *Node) bucketSettings(record directory.Volume) (s3.Config, error) {
	bucket, known := n.copy.Bucket(record.BucketID)
	if !known {
		return s3.Config{}, fault.New(fault.VolumeUnavailable, "the bucket %s of volume %s is not known", record.BucketID, record.Name)
	}
	return bucketConfig(bucket, record.Prefix), nil
}

// ownVolumes reports whether a change of the directory concerns the volumes of this mailstore.
func (n *Node) ownVolumes(e directory.Event) bool {
	return slices.Contains(e.Volumes, n.config.FQDN) || len(e.Buckets) > 0
}
