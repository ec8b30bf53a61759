-- Names, keys and identifiers are bytes: they compare bytewise, without collation or padding. 64-bit numbers are bit patterns.
-- MariaDB commits each of these statements by itself: a file is run again from its beginning if it was not finished, so each
-- statement must be harmless where it was carried out already.

CREATE TABLE IF NOT EXISTS mailbox (
    mailbox_id        BIGINT          NOT NULL AUTO_INCREMENT PRIMARY KEY, -- never used twice
    account_id        BINARY(16)      NOT NULL UNIQUE,
    -- the copy (package protocol)
    self_mailstore    VARBINARY(1024) NOT NULL,
    condition_code    INT             NOT NULL,
    mode_code         INT             NOT NULL,
    epoch             BIGINT          NOT NULL,
    primary_mailstore VARBINARY(1024) NOT NULL,
    members           MEDIUMBLOB      NOT NULL,
    cluster_id        VARBINARY(1024) NOT NULL,
    topic_id          BINARY(16)      NOT NULL,
    partition_number  INT             NOT NULL,
    leader_epoch      INT             NOT NULL,
    head_sequence     BIGINT          NOT NULL,
    head_record       BINARY(16)      NOT NULL,
    next_offset       BIGINT          NOT NULL,
    committed         BIGINT          NOT NULL,
    committed_record  BINARY(16)      NOT NULL,
    journal_count     BIGINT          NOT NULL,
    -- the header (package mailbox)
    last_sequence     BIGINT          NOT NULL,
    next_item_id      BIGINT          NOT NULL,
    next_uid_validity BIGINT          NOT NULL,
    messages          BIGINT          NOT NULL,
    total_bytes       BIGINT          NOT NULL,
    digest            BINARY(16)      NOT NULL
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;

CREATE TABLE IF NOT EXISTS folder (
    mailbox_id        BIGINT          NOT NULL,
    folder_id         BIGINT          NOT NULL,
    name              VARBINARY(1024) NOT NULL,
    uid_validity      BIGINT          NOT NULL,
    uid_next          BIGINT          NOT NULL,
    highest_seq       BIGINT          NOT NULL,
    special_use       VARBINARY(1024) NOT NULL,
    messages          BIGINT          NOT NULL,
    unseen            BIGINT          NOT NULL,
    total_bytes       BIGINT          NOT NULL,
    tombstones        BIGINT          NOT NULL,
    pruned_up_to      BIGINT          NOT NULL,
    PRIMARY KEY (mailbox_id, folder_id),
    UNIQUE INDEX folder_name (mailbox_id, name)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;

CREATE TABLE IF NOT EXISTS content (
    mailbox_id        BIGINT          NOT NULL,
    content_id        BIGINT          NOT NULL,
    volume            VARBINARY(1024) NOT NULL,
    blob_name         VARBINARY(1024) NOT NULL,
    summary           LONGBLOB        NOT NULL,
    PRIMARY KEY (mailbox_id, content_id)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;

CREATE TABLE IF NOT EXISTS message (
    mailbox_id        BIGINT          NOT NULL,
    folder_id         BIGINT          NOT NULL,
    uid               INT UNSIGNED    NOT NULL,
    item_id           BIGINT          NOT NULL,
    content_id        BIGINT          NOT NULL,
    modseq            BIGINT          NOT NULL,
    internal_date     BIGINT          NOT NULL,
    date_zone         SMALLINT        NOT NULL,
    size              BIGINT          NOT NULL,
    system_flags      INT             NOT NULL,
    keywords          MEDIUMBLOB      NOT NULL,
    PRIMARY KEY (mailbox_id, folder_id, uid),
    INDEX message_modseq (mailbox_id, folder_id, modseq),
    INDEX message_content (mailbox_id, content_id)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;

CREATE TABLE IF NOT EXISTS tombstone (
    mailbox_id        BIGINT          NOT NULL,
    folder_id         BIGINT          NOT NULL,
    uid               INT UNSIGNED    NOT NULL,
    seq               BIGINT          NOT NULL,
    PRIMARY KEY (mailbox_id, folder_id, uid),
    INDEX tombstone_seq (mailbox_id, folder_id, seq)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;

CREATE TABLE IF NOT EXISTS subscription (
    mailbox_id        BIGINT          NOT NULL,
    name              VARBINARY(1024) NOT NULL,
    PRIMARY KEY (mailbox_id, name)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;

CREATE TABLE IF NOT EXISTS delivery (
    mailbox_id        BIGINT          NOT NULL,
    delivery_key      BINARY(32)      NOT NULL,
    seq               BIGINT          NOT NULL,
    PRIMARY KEY (mailbox_id, delivery_key),
    INDEX delivery_seq (mailbox_id, seq)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;

-- Local to this mailstore: outside log and digest.

CREATE TABLE IF NOT EXISTS recent (
    mailbox_id        BIGINT          NOT NULL,
    folder_id         BIGINT          NOT NULL,
    uid               INT UNSIGNED    NOT NULL, -- UIDs from here on are \Recent for the next session
    PRIMARY KEY (mailbox_id, folder_id)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;

CREATE TABLE IF NOT EXISTS journal (
    mailbox_id        BIGINT          NOT NULL,
    seq               BIGINT          NOT NULL,
    record_id         BINARY(16)      NOT NULL,
    record            LONGBLOB        NOT NULL,
    PRIMARY KEY (mailbox_id, seq)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;

-- What of a journal's record is beyond the size of one value.
CREATE TABLE IF NOT EXISTS journal_more (
    mailbox_id        BIGINT          NOT NULL,
    seq               BIGINT          NOT NULL,
    piece             INT             NOT NULL, -- from 1
    record            LONGBLOB        NOT NULL,
    PRIMARY KEY (mailbox_id, seq, piece)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;

CREATE TABLE IF NOT EXISTS stream_position (
    cluster_id        VARBINARY(1024) NOT NULL,
    topic_id          BINARY(16)      NOT NULL,
    partition_number  INT             NOT NULL,
    next_offset       BIGINT          NOT NULL,
    leader_epoch      INT             NOT NULL,
    PRIMARY KEY (cluster_id, topic_id, partition_number)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;

CREATE TABLE IF NOT EXISTS setting (
    name              VARBINARY(1024) NOT NULL,
    content           LONGBLOB        NOT NULL,
    PRIMARY KEY (name)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;

-- Mailboxes that are removed; their rows go bit by bit.
CREATE TABLE IF NOT EXISTS removal (
    mailbox_id        BIGINT          NOT NULL,
    PRIMARY KEY (mailbox_id)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;
