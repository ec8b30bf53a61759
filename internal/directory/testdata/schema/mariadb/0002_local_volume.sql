-- 1 where the mailstore's primary volume is its own: replicas of its accounts could not read their blobs.
ALTER TABLE mailstores ADD COLUMN IF NOT EXISTS local_volume TINYINT NOT NULL DEFAULT 0;
