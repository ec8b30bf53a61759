-- What has changed is remembered in memory, and else read from the folder: an index that every change of a flag alters costs more.
ALTER TABLE message DROP INDEX IF EXISTS message_modseq;
ALTER TABLE tombstone DROP INDEX IF EXISTS tombstone_seq;
