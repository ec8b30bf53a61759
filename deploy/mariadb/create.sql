-- Run once as an administrator. A database for the directory, on the server that all mailstores reach, and one for the
-- metadata of each mailstore, on a server of its own host. Other passwords, please.
CREATE DATABASE mailreplica_directory CHARACTER SET binary;
CREATE USER 'mailreplica_directory'@'%' IDENTIFIED BY 'another-password' REQUIRE SSL;
GRANT ALL PRIVILEGES ON mailreplica_directory.* TO 'mailreplica_directory'@'%';

CREATE DATABASE mailreplica_metadata CHARACTER SET binary;
CREATE USER 'mailreplica_metadata'@'localhost' IDENTIFIED BY 'another-password';
GRANT ALL PRIVILEGES ON mailreplica_metadata.* TO 'mailreplica_metadata'@'localhost';
