-- What a directory of schema 4 holds; applied after the scripts 0001 to 0004 of testdata/schema/mariadb.
CREATE TABLE directory_schema (version INT NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL) ENGINE=InnoDB;
INSERT INTO directory_schema VALUES (1, 1767323045000), (2, 1767323045000), (3, 1767323045000), (4, 1767323045000);
INSERT INTO meta VALUES ('directory_id', '6a1f0a52-5c0b-4b6e-8f54-0e6d2c8e7a11');
INSERT INTO counters VALUES ('version', 8), ('pruned', 0);
INSERT INTO config VALUES ('brokers', 'b:9092', 1);
INSERT INTO mailstores VALUES
    ('mbox1.example.com', 'm1:7071', 'm1:7072', 'm1:7025', 'm1:7143', 'one', 1767323045000, 2, 0),
    ('mbox2.example.com', 'm2:7071', 'm2:7072', 'm2:7025', 'm2:7143', 'two', 1767323045000, 3, 0);
INSERT INTO accounts VALUES (x'000102030405460788090a0b0c0d0e0f', 'old@example.com', 'user', 'hash', 'active',
    'mbox1.example.com', 7, 1, 'cluster', x'101112131415161718191a1b1c1d1e1f', 3, 0, 0, 1767323045000, 4);
INSERT INTO replicas VALUES (x'000102030405460788090a0b0c0d0e0f', 'mbox2.example.com', 10, 'available', 0,
    1767323045000, 5);
INSERT INTO deleted_accounts VALUES (x'ff0102030405460788090a0b0c0d0e0f', 'gone@example.com', 1767323045000, 6);
INSERT INTO removed VALUES ('config', x'6f6c64', 1767323045000, 1);
INSERT INTO operations VALUES ('5f0c1d3e-0000-4000-8000-000000000001', 'promoteAccounts', 'mbox1.example.com', 'successful',
    1, 1, 0, '{}', '', 0, 1767323045000, 1767323045000, 1767323045000);
INSERT INTO operation_items VALUES ('5f0c1d3e-0000-4000-8000-000000000001', 0, 'old@example.com', 'successful', '', '8');
INSERT INTO notifications VALUES ('5f0c1d3e-0000-4000-8000-000000000002', '5f0c1d3e-0000-4000-8000-000000000001',
    'mbox1.example.com', 1767323045000, 'Information', 'subject', 'body');
INSERT INTO buckets VALUES ('5f0c1d3e-0000-4000-8000-000000000003', 'MinIO', 'mail', 'mail-blobs', 'https://s3.example.com', 'us-east-1',
    'access', 'secret', 1, 1767323045000, 7);
INSERT INTO volumes VALUES ('mbox1.example.com', 'shared', 'S3', '', '5f0c1d3e-0000-4000-8000-000000000003', 'a', 1, 1, 8),
    ('mbox1.example.com', 'local', 'folder', '/var/lib/mailreplica/blobs', '', '', 0, 0, 8);
