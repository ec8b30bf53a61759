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
CREATE TABLE discarded (
    mailbox_id   INTEGER NOT NULL,
    content_id   INTEGER NOT NULL,
    volume       BLOB    NOT NULL,
    blob_name    BLOB    NOT NULL,
    seq          INTEGER NOT NULL,
    discarded_at INTEGER NOT NULL, -- seconds since 1970 UTC
    PRIMARY KEY (mailbox_id, content_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE ended (
    mailbox_id INTEGER NOT NULL,
    account_id BLOB    NOT NULL,
    members    BLOB    NOT NULL, -- mailstores that had a copy
    ended_at   INTEGER NOT NULL, -- seconds since 1970 UTC
    PRIMARY KEY (mailbox_id)
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
CREATE TABLE sqlite_sequence(name,seq);
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
CREATE INDEX discarded_time ON discarded (discarded_at);
CREATE UNIQUE INDEX folder_name ON folder (mailbox_id, name);
CREATE INDEX message_content ON message (mailbox_id, content_id);
