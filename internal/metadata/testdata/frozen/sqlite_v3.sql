-- A database of schema version 3. Never altered.
CREATE TABLE content (
    mailbox_id INTEGER NOT NULL,
    content_id INTEGER NOT NULL,
    volume     BLOB    NOT NULL,
    blob_name  BLOB    NOT NULL,
    summary    BLOB    NOT NULL,
    PRIMARY KEY (mailbox_id, content_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE delivery (
    mailbox_id   INTEGER NOT NULL,
    delivery_key BLOB    NOT NULL,
    seq          INTEGER NOT NULL,
    PRIMARY KEY (mailbox_id, delivery_key)
) STRICT, WITHOUT ROWID;
CREATE TABLE folder (
    mailbox_id   INTEGER NOT NULL,
    folder_id    INTEGER NOT NULL,
    name         BLOB    NOT NULL,
    uid_validity INTEGER NOT NULL,
    uid_next     INTEGER NOT NULL,
    highest_seq  INTEGER NOT NULL,
    special_use  BLOB    NOT NULL,
    messages     INTEGER NOT NULL,
    unseen       INTEGER NOT NULL,
    total_bytes  INTEGER NOT NULL,
    tombstones   INTEGER NOT NULL,
    pruned_up_to INTEGER NOT NULL,
    PRIMARY KEY (mailbox_id, folder_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE journal (
    mailbox_id INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    record_id  BLOB    NOT NULL,
    record     BLOB    NOT NULL,
    PRIMARY KEY (mailbox_id, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE mailbox (
    mailbox_id        INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice
    account_id        BLOB    NOT NULL UNIQUE,
    -- the copy (package protocol)
    self_mailstore    BLOB    NOT NULL,
    condition_code    INTEGER NOT NULL,
    mode_code         INTEGER NOT NULL,
    epoch             INTEGER NOT NULL,
    primary_mailstore BLOB    NOT NULL,
    members           BLOB    NOT NULL,
    cluster_id        BLOB    NOT NULL,
    topic_id          BLOB    NOT NULL,
    partition_number  INTEGER NOT NULL,
    leader_epoch      INTEGER NOT NULL,
    head_sequence     INTEGER NOT NULL,
    head_record       BLOB    NOT NULL,
    next_offset       INTEGER NOT NULL,
    committed         INTEGER NOT NULL,
    committed_record  BLOB    NOT NULL,
    journal_count     INTEGER NOT NULL,
    -- the header (package mailbox)
    last_sequence     INTEGER NOT NULL,
    next_item_id      INTEGER NOT NULL,
    next_uid_validity INTEGER NOT NULL,
    messages          INTEGER NOT NULL,
    total_bytes       INTEGER NOT NULL,
    digest            BLOB    NOT NULL
) STRICT;
CREATE TABLE message (
    mailbox_id    INTEGER NOT NULL,
    folder_id     INTEGER NOT NULL,
    uid           INTEGER NOT NULL,
    item_id       INTEGER NOT NULL,
    content_id    INTEGER NOT NULL,
    modseq        INTEGER NOT NULL,
    internal_date INTEGER NOT NULL,
    date_zone     INTEGER NOT NULL,
    size          INTEGER NOT NULL,
    system_flags  INTEGER NOT NULL,
    keywords      BLOB    NOT NULL,
    PRIMARY KEY (mailbox_id, folder_id, uid)
) STRICT, WITHOUT ROWID;
CREATE TABLE recent (
    mailbox_id INTEGER NOT NULL,
    folder_id  INTEGER NOT NULL,
    uid        INTEGER NOT NULL, -- UIDs from here on are \Recent for the next session
    PRIMARY KEY (mailbox_id, folder_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE removal (
    mailbox_id INTEGER NOT NULL,
    PRIMARY KEY (mailbox_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;
CREATE TABLE setting (
    name    BLOB NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (name)
) STRICT, WITHOUT ROWID;
CREATE TABLE stream_position (
    cluster_id       BLOB    NOT NULL,
    topic_id         BLOB    NOT NULL,
    partition_number INTEGER NOT NULL,
    next_offset      INTEGER NOT NULL,
    leader_epoch     INTEGER NOT NULL,
    PRIMARY KEY (cluster_id, topic_id, partition_number)
) STRICT, WITHOUT ROWID;
CREATE TABLE subscription (
    mailbox_id INTEGER NOT NULL,
    name       BLOB    NOT NULL,
    PRIMARY KEY (mailbox_id, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE tombstone (
    mailbox_id INTEGER NOT NULL,
    folder_id  INTEGER NOT NULL,
    uid        INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    PRIMARY KEY (mailbox_id, folder_id, uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_seq ON delivery (mailbox_id, seq);
CREATE UNIQUE INDEX folder_name ON folder (mailbox_id, name);
CREATE INDEX message_content ON message (mailbox_id, content_id);

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

INSERT INTO schema_version VALUES (3);
INSERT INTO mailbox VALUES (7, x'0123456789ab4def8123456789abcdef', x'6d626f78312e6578616d706c652e636f6d', 2, 3, 3, x'6d626f78312e6578616d706c652e636f6d',
    x'116d626f78312e6578616d706c652e636f6d01000000000000000000000000000000116d626f78322e6578616d706c652e636f6d02000000000000000000000000000000', x'636c7573746572', x'aa000000000000000000000000000000', 4, 5, 40, x'b0000000000000000000000000000000', 1234, 42, x'c0000000000000000000000000000000', 2,
    42, 20, 9, 2, 3000, x'd0000000000000000000000000000001');
INSERT INTO folder VALUES (7, 2, x'4772fcdf65', 8, 6, 42, x'5c4a756e6b', 2, 1, 3000, 1, 11);
INSERT INTO content VALUES (7, 10, x'7072696d617279', x'323032362f31312f3061', x'00ff');
INSERT INTO message VALUES (7, 2, 3, 11, 10, 41, 1790000000, -90, 1000, 0, x'');
INSERT INTO message VALUES (7, 2, 5, 12, 10, 42, -1, 60, 2000, 9, x'0a24466f727761726465640178');
INSERT INTO tombstone VALUES (7, 2, 4, 39);
INSERT INTO subscription VALUES (7, x'494e424f58');
INSERT INTO delivery VALUES (7, x'ee00000000000000000000000000000000000000000000000000000000000000', 41);
INSERT INTO recent VALUES (7, 2, 4);
INSERT INTO journal VALUES (7, 41, x'f1000000000000000000000000000000', x'7265636f7264');
INSERT INTO journal VALUES (7, 42, x'f2000000000000000000000000000000', x'7265636f7264');
INSERT INTO stream_position VALUES (x'636c7573746572', x'aa000000000000000000000000000000', 4, 1300, 6);
INSERT INTO setting VALUES (x'2e696e6361726e6174696f6e', x'6f6e65');
-- a mailbox whose removal has begun
INSERT INTO removal VALUES (6);
INSERT INTO message VALUES (6, 1, 1, 2, 1, 1, 0, 0, 1, 0, x'');
INSERT INTO content VALUES (6, 1, x'', x'', x'');
INSERT INTO discarded VALUES (7, 9, x'7072696d617279', x'323032362f31312f3062', 40, 1790000001);
-- a deleted account whose blobs have not been removed yet
INSERT INTO removal VALUES (5);
INSERT INTO ended VALUES (5, x'aa23456789ab4def8123456789abcdef', x'116d626f78312e6578616d706c652e636f6d', 1790000002);
