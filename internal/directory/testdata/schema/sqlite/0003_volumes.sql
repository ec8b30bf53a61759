-- Where blobs lie: the buckets, with their credentials, and the volumes of each mailstore. Of a mailstore's volumes one at
-- most is the primary.
CREATE TABLE buckets (
    id         TEXT NOT NULL COLLATE BINARY PRIMARY KEY,
    kind       TEXT NOT NULL,
    label      TEXT NOT NULL,
    name       TEXT NOT NULL,
    endpoint   TEXT NOT NULL,
    region     TEXT NOT NULL,
    access_key TEXT NOT NULL,
    secret     TEXT NOT NULL,
    path_style INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    version    INTEGER NOT NULL
) STRICT;
CREATE INDEX buckets_version ON buckets (version);

CREATE TABLE volumes (
    mailstore   TEXT NOT NULL COLLATE BINARY,
    name        TEXT NOT NULL COLLATE BINARY,
    kind        TEXT NOT NULL,
    path        TEXT NOT NULL,
    bucket_id   TEXT NOT NULL COLLATE BINARY,
    prefix      TEXT NOT NULL COLLATE BINARY,
    is_primary  INTEGER NOT NULL,
    centralised INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    PRIMARY KEY (mailstore, name)
) STRICT;
CREATE INDEX volumes_bucket ON volumes (bucket_id);
CREATE INDEX volumes_version ON volumes (version);
