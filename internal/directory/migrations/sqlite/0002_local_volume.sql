-- 1 where the mailstore's primary volume is its own: replicas of its accounts could not read their blobs.
ALTER TABLE mailstores ADD COLUMN local_volume INTEGER NOT NULL DEFAULT 0;
