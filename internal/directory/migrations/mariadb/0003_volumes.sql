-- Where blobs lie: the buckets, with their credentials, and the volumes of each mailstore. Of a mailstore's volumes one at
-- most is the primary.
CREATE TABLE IF NOT EXISTS buckets (
    id         VARBINARY(64) NOT NULL PRIMARY KEY,
    kind       VARBINARY(16) NOT NULL,
    label      VARBINARY(128) NOT NULL,
    name       VARBINARY(64) NOT NULL,
    endpoint   VARBINARY(512) NOT NULL,
    region     VARBINARY(64) NOT NULL,
    access_key VARBINARY(256) NOT NULL,
    secret     VARBINARY(256) NOT NULL,
    path_style TINYINT NOT NULL,
    created_at BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    INDEX buckets_version (version)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;

CREATE TABLE IF NOT EXISTS volumes (
    mailstore   VARBINARY(255) NOT NULL,
    name        VARBINARY(128) NOT NULL,
    kind        VARBINARY(16) NOT NULL,
    path        VARBINARY(1024) NOT NULL,
    bucket_id   VARBINARY(64) NOT NULL,
    prefix      VARBINARY(512) NOT NULL,
    is_primary  TINYINT NOT NULL,
    centralised TINYINT NOT NULL,
    version     BIGINT NOT NULL,
    PRIMARY KEY (mailstore, name),
    INDEX volumes_bucket (bucket_id),
    INDEX volumes_version (version)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;
