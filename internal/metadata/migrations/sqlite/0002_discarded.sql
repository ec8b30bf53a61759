-- Contents whose last message went: their blobs are reclaimed later.
CREATE TABLE discarded (
    mailbox_id   INTEGER NOT NULL,
    content_id   INTEGER NOT NULL,
    volume       BLOB    NOT NULL,
    blob_name    BLOB    NOT NULL,
    seq          INTEGER NOT NULL,
    discarded_at INTEGER NOT NULL, -- seconds since 1970 UTC
    PRIMARY KEY (mailbox_id, content_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX discarded_time ON discarded (discarded_at);

-- Local to this mailstore: mailboxes of deleted accounts that it was the home of. Their rows in content and discarded stay,
-- though the mailbox is gone, until the blobs have been removed.
CREATE TABLE ended (
    mailbox_id INTEGER NOT NULL,
    account_id BLOB    NOT NULL,
    members    BLOB    NOT NULL, -- mailstores that had a copy
    ended_at   INTEGER NOT NULL, -- seconds since 1970 UTC
    PRIMARY KEY (mailbox_id)
) STRICT, WITHOUT ROWID;
