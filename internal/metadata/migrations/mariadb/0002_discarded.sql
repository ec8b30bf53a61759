-- Contents whose last message went: their blobs are reclaimed later.
CREATE TABLE IF NOT EXISTS discarded (
    mailbox_id        BIGINT          NOT NULL,
    content_id        BIGINT          NOT NULL,
    volume            VARBINARY(1024) NOT NULL,
    blob_name         VARBINARY(1024) NOT NULL,
    seq               BIGINT          NOT NULL,
    discarded_at      BIGINT          NOT NULL, -- seconds since 1970 UTC
    PRIMARY KEY (mailbox_id, content_id),
    INDEX discarded_time (discarded_at)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;

-- Local to this mailstore: mailboxes of deleted accounts that it was the home of. Their rows in content and discarded stay,
-- though the mailbox is gone, until the blobs have been removed.
CREATE TABLE IF NOT EXISTS ended (
    mailbox_id        BIGINT          NOT NULL,
    account_id        BINARY(16)      NOT NULL,
    members           MEDIUMBLOB      NOT NULL, -- mailstores that had a copy
    ended_at          BIGINT          NOT NULL, -- seconds since 1970 UTC
    PRIMARY KEY (mailbox_id)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;
