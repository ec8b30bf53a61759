-- The same rows as in SQLite. MariaDB commits every statement here by itself: each of them can be run again, and by several
-- processes at once. Texts are bytes, compared as bytes (VARBINARY, VARBINARY keys): no case, no trailing spaces, no
-- encoding makes two of them equal. Times are milliseconds since 1970-01-01 UTC; version is the number of the transaction
-- that wrote the row last (counters.value where name = 'version').

CREATE TABLE IF NOT EXISTS meta (
    name  VARBINARY(64) NOT NULL PRIMARY KEY,
    value VARBINARY(255) NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;

CREATE TABLE IF NOT EXISTS counters (
    name  VARBINARY(64) NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;

-- The last transaction of each process that writes: its mark says whether a COMMIT without an answer came to be.
CREATE TABLE IF NOT EXISTS writers (
    id     BINARY(16) NOT NULL PRIMARY KEY,
    mark   BINARY(16) NOT NULL,
    marked BIGINT NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;

CREATE TABLE IF NOT EXISTS config (
    name    VARBINARY(128) NOT NULL PRIMARY KEY,
    value   MEDIUMBLOB NOT NULL,
    version BIGINT NOT NULL,
    INDEX config_version (version)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;

CREATE TABLE IF NOT EXISTS mailstores (
    fqdn        VARBINARY(255) NOT NULL PRIMARY KEY,
    admin_addr  VARBINARY(512) NOT NULL,
    peer_addr   VARBINARY(512) NOT NULL,
    lmtp_addr   VARBINARY(512) NOT NULL,
    imap_addr   VARBINARY(512) NOT NULL,
    incarnation VARBINARY(255) NOT NULL,
    seen_at     BIGINT NOT NULL,
    version     BIGINT NOT NULL,
    INDEX mailstores_version (version)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;

CREATE TABLE IF NOT EXISTS accounts (
    id            BINARY(16) NOT NULL PRIMARY KEY,
    name          VARBINARY(1024) NOT NULL,
    kind          VARBINARY(16) NOT NULL,
    password_hash VARBINARY(1024) NOT NULL,
    status        VARBINARY(16) NOT NULL,
    mail_host     VARBINARY(255) NOT NULL,
    epoch         BIGINT NOT NULL,
    global_admin  TINYINT NOT NULL,
    cluster_id    VARBINARY(255) NOT NULL,
    topic_id      BINARY(16) NOT NULL,
    stream        INT NOT NULL,
    paused        TINYINT NOT NULL,
    deleting      TINYINT NOT NULL,
    created_at    BIGINT NOT NULL,
    version       BIGINT NOT NULL,
    UNIQUE INDEX accounts_name (name),
    INDEX accounts_mail_host (mail_host),
    INDEX accounts_version (version)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;

CREATE TABLE IF NOT EXISTS deleted_accounts (
    id         BINARY(16) NOT NULL PRIMARY KEY,
    name       VARBINARY(1024) NOT NULL,
    deleted_at BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    INDEX deleted_accounts_version (version)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;

CREATE TABLE IF NOT EXISTS replicas (
    account_id BINARY(16) NOT NULL,
    mailstore  VARBINARY(255) NOT NULL,
    priority   INT NOT NULL,
    state      VARBINARY(32) NOT NULL,
    removing   TINYINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    PRIMARY KEY (account_id, mailstore),
    INDEX replicas_mailstore (mailstore),
    INDEX replicas_version (version)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;

-- Rows that are gone, for those who follow the directory. Pruned; counters.pruned is the last version that was.
CREATE TABLE IF NOT EXISTS removed (
    kind       VARBINARY(32) NOT NULL,
    row_key    VARBINARY(512) NOT NULL,
    removed_at BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    PRIMARY KEY (kind, row_key),
    INDEX removed_version (version)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;

CREATE TABLE IF NOT EXISTS operations (
    id             VARBINARY(64) NOT NULL PRIMARY KEY,
    type           VARBINARY(64) NOT NULL,
    host           VARBINARY(255) NOT NULL,
    state          VARBINARY(16) NOT NULL,
    total          INT NOT NULL,
    done           INT NOT NULL,
    failed         INT NOT NULL,
    parameters     MEDIUMBLOB NOT NULL,
    error          VARBINARY(1024) NOT NULL,
    stop_requested TINYINT NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    finished_at    BIGINT NOT NULL,
    INDEX operations_host (host, state),
    INDEX operations_created (created_at)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;

CREATE TABLE IF NOT EXISTS operation_items (
    operation_id VARBINARY(64) NOT NULL,
    position     INT NOT NULL,
    account      VARBINARY(1024) NOT NULL,
    state        VARBINARY(16) NOT NULL,
    message      VARBINARY(1024) NOT NULL,
    PRIMARY KEY (operation_id, position)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;

CREATE TABLE IF NOT EXISTS notifications (
    id           VARBINARY(64) NOT NULL PRIMARY KEY,
    operation_id VARBINARY(64) NULL,
    server       VARBINARY(255) NOT NULL,
    created_at   BIGINT NOT NULL,
    type         VARBINARY(32) NOT NULL,
    subject      VARBINARY(512) NOT NULL,
    body         MEDIUMBLOB NOT NULL,
    UNIQUE INDEX notifications_operation (operation_id),
    INDEX notifications_created (created_at)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;
