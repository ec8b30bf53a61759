-- A database of schema 3, as the release that made it left it.
CREATE TABLE owner (
    id          INT             NOT NULL PRIMARY KEY,
    incarnation BINARY(16)      NOT NULL,
    holder      VARBINARY(1024) NOT NULL,
    generation  BIGINT          NOT NULL,
    settled     BIGINT          NOT NULL
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;
CREATE TABLE schema_version (
    id      INT NOT NULL PRIMARY KEY,
    version INT NOT NULL
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;
CREATE TABLE mailbox (
    mailbox_id        BIGINT          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    account_id        BINARY(16)      NOT NULL UNIQUE,
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
    last_sequence     BIGINT          NOT NULL,
    next_item_id      BIGINT          NOT NULL,
    next_uid_validity BIGINT          NOT NULL,
    messages          BIGINT          NOT NULL,
    total_bytes       BIGINT          NOT NULL,
    digest            BINARY(16)      NOT NULL
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;
CREATE TABLE folder (
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
CREATE TABLE content (
    mailbox_id        BIGINT          NOT NULL,
    content_id        BIGINT          NOT NULL,
    volume            VARBINARY(1024) NOT NULL,
    blob_name         VARBINARY(1024) NOT NULL,
    summary           LONGBLOB        NOT NULL,
    PRIMARY KEY (mailbox_id, content_id)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;
CREATE TABLE message (
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
    INDEX message_content (mailbox_id, content_id)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;
CREATE TABLE tombstone (
    mailbox_id        BIGINT          NOT NULL,
    folder_id         BIGINT          NOT NULL,
    uid               INT UNSIGNED    NOT NULL,
    seq               BIGINT          NOT NULL,
    PRIMARY KEY (mailbox_id, folder_id, uid)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;
CREATE TABLE subscription (
    mailbox_id        BIGINT          NOT NULL,
    name              VARBINARY(1024) NOT NULL,
    PRIMARY KEY (mailbox_id, name)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;
CREATE TABLE delivery (
    mailbox_id        BIGINT          NOT NULL,
    delivery_key      BINARY(32)      NOT NULL,
    seq               BIGINT          NOT NULL,
    PRIMARY KEY (mailbox_id, delivery_key),
    INDEX delivery_seq (mailbox_id, seq)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;
CREATE TABLE recent (
    mailbox_id        BIGINT          NOT NULL,
    folder_id         BIGINT          NOT NULL,
    uid               INT UNSIGNED    NOT NULL,
    PRIMARY KEY (mailbox_id, folder_id)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;
CREATE TABLE journal (
    mailbox_id        BIGINT          NOT NULL,
    seq               BIGINT          NOT NULL,
    record_id         BINARY(16)      NOT NULL,
    record            LONGBLOB        NOT NULL,
    PRIMARY KEY (mailbox_id, seq)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;
CREATE TABLE journal_more (
    mailbox_id        BIGINT          NOT NULL,
    seq               BIGINT          NOT NULL,
    piece             INT             NOT NULL,
    record            LONGBLOB        NOT NULL,
    PRIMARY KEY (mailbox_id, seq, piece)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;
CREATE TABLE stream_position (
    cluster_id        VARBINARY(1024) NOT NULL,
    topic_id          BINARY(16)      NOT NULL,
    partition_number  INT             NOT NULL,
    next_offset       BIGINT          NOT NULL,
    leader_epoch      INT             NOT NULL,
    PRIMARY KEY (cluster_id, topic_id, partition_number)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;
CREATE TABLE setting (
    name              VARBINARY(1024) NOT NULL,
    content           LONGBLOB        NOT NULL,
    PRIMARY KEY (name)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;
CREATE TABLE removal (
    mailbox_id        BIGINT          NOT NULL,
    PRIMARY KEY (mailbox_id)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;
CREATE TABLE discarded (
    mailbox_id        BIGINT          NOT NULL,
    content_id        BIGINT          NOT NULL,
    volume            VARBINARY(1024) NOT NULL,
    blob_name         VARBINARY(1024) NOT NULL,
    seq               BIGINT          NOT NULL,
    discarded_at      BIGINT          NOT NULL,
    PRIMARY KEY (mailbox_id, content_id),
    INDEX discarded_time (discarded_at)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;
CREATE TABLE ended (
    mailbox_id        BIGINT          NOT NULL,
    account_id        BINARY(16)      NOT NULL,
    members           MEDIUMBLOB      NOT NULL,
    ended_at          BIGINT          NOT NULL,
    PRIMARY KEY (mailbox_id)
) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC, DEFAULT CHARSET = binary;

INSERT INTO owner VALUES (1, x'0123456789abcdef0123456789abcdef', x'70726f63657373', 77, 0);
INSERT INTO schema_version VALUES (1, 3);
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
