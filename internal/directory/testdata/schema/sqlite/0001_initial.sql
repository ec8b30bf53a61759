-- Names are compared as bytes (COLLATE BINARY); times are milliseconds since 1970-01-01 UTC; version is the number of the
-- transaction that wrote the row last (counters.value where name = 'version').

CREATE TABLE meta (
    name  TEXT NOT NULL COLLATE BINARY PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE counters (
    name  TEXT NOT NULL COLLATE BINARY PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;

CREATE TABLE config (
    name    TEXT NOT NULL COLLATE BINARY PRIMARY KEY,
    value   TEXT NOT NULL,
    version INTEGER NOT NULL
) STRICT;
CREATE INDEX config_version ON config (version);

CREATE TABLE mailstores (
    fqdn        TEXT NOT NULL COLLATE BINARY PRIMARY KEY,
    admin_addr  TEXT NOT NULL,
    peer_addr   TEXT NOT NULL,
    lmtp_addr   TEXT NOT NULL,
    imap_addr   TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    seen_at     INTEGER NOT NULL,
    version     INTEGER NOT NULL
) STRICT;
CREATE INDEX mailstores_version ON mailstores (version);

CREATE TABLE accounts (
    id            BLOB NOT NULL PRIMARY KEY,
    name          TEXT NOT NULL COLLATE BINARY,
    kind          TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    status        TEXT NOT NULL,
    mail_host     TEXT NOT NULL COLLATE BINARY,
    epoch         INTEGER NOT NULL,
    global_admin  INTEGER NOT NULL,
    cluster_id    TEXT NOT NULL,
    topic_id      BLOB NOT NULL,
    stream        INTEGER NOT NULL,
    paused        INTEGER NOT NULL,
    deleting      INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    version       INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX accounts_name ON accounts (name);
CREATE INDEX accounts_mail_host ON accounts (mail_host);
CREATE INDEX accounts_version ON accounts (version);

CREATE TABLE deleted_accounts (
    id         BLOB NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL COLLATE BINARY,
    deleted_at INTEGER NOT NULL,
    version    INTEGER NOT NULL
) STRICT;
CREATE INDEX deleted_accounts_version ON deleted_accounts (version);

CREATE TABLE replicas (
    account_id BLOB NOT NULL,
    mailstore  TEXT NOT NULL COLLATE BINARY,
    priority   INTEGER NOT NULL,
    state      TEXT NOT NULL,
    removing   INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    PRIMARY KEY (account_id, mailstore)
) STRICT;
CREATE INDEX replicas_mailstore ON replicas (mailstore);
CREATE INDEX replicas_version ON replicas (version);

-- Rows that are gone, for those who follow the directory. Pruned; counters.pruned is the last version that was.
CREATE TABLE removed (
    kind       TEXT NOT NULL COLLATE BINARY,
    row_key    BLOB NOT NULL,
    removed_at INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    PRIMARY KEY (kind, row_key)
) STRICT;
CREATE INDEX removed_version ON removed (version);

CREATE TABLE operations (
    id             TEXT NOT NULL COLLATE BINARY PRIMARY KEY,
    type           TEXT NOT NULL,
    host           TEXT NOT NULL COLLATE BINARY,
    state          TEXT NOT NULL,
    total          INTEGER NOT NULL,
    done           INTEGER NOT NULL,
    failed         INTEGER NOT NULL,
    parameters     TEXT NOT NULL,
    error          TEXT NOT NULL,
    stop_requested INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    finished_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX operations_host ON operations (host, state);
CREATE INDEX operations_created ON operations (created_at);

CREATE TABLE operation_items (
    operation_id TEXT NOT NULL COLLATE BINARY,
    position     INTEGER NOT NULL,
    account      TEXT NOT NULL,
    state        TEXT NOT NULL,
    message      TEXT NOT NULL,
    PRIMARY KEY (operation_id, position)
) STRICT;

CREATE TABLE notifications (
    id           TEXT NOT NULL COLLATE BINARY PRIMARY KEY,
    operation_id TEXT COLLATE BINARY,
    server       TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    type         TEXT NOT NULL,
    subject      TEXT NOT NULL,
    body         TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX notifications_operation ON notifications (operation_id);
CREATE INDEX notifications_created ON notifications (created_at);
