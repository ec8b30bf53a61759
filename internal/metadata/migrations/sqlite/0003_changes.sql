-- What has changed is remembered in memory, and else read from the folder: an index that every change of a flag alters costs more.
DROP INDEX message_modseq;
DROP INDEX tombstone_seq;
