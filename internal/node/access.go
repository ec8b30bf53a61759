package node

import (
	"context"
	"crypto/tls"
	"log/slog"

	"mailreplica/internal/config"
	"mailreplica/internal/directory"
	"mailreplica/internal/eventlog"
	"mailreplica/internal/mariadb"
	"mailreplica/internal/metadata"
)

// brokerAccess is how this mailstore authenticates the brokers, and itself to them.
type brokerAccess struct {
	tls  *tls.Config // nil: in the clear
	sasl eventlog.SASL
}

func loadBrokerAccess(l config.Log) (a brokerAccess, err error) {
	if l.TLS {
		a.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		if a.tls.RootCAs, err = loadPool("log.ca", l.CA); err != nil {
			return a, err
		}
	}
	if l.SASL != "" {
		a.sasl = eventlog.SASL{Mechanism: l.SASL, User: l.User}
		a.sasl.Password, err = config.ReadSecret(l.PasswordFile)
	}
	return a, err
}

// DirectoryOptions says where the directory of a configuration is. It reads the database's password.
func DirectoryOptions(c config.Config) (directory.Options, error) {
	if c.DirectoryMariaDB == nil {
		return directory.Options{Path: c.Directory}, nil
	}
	access, err := databaseAccess("directoryMariaDB", c.DirectoryMariaDB)
	return directory.Options{MariaDB: &access}, err
}

// openMetadata opens the mailstore's own database.
func openMetadata(ctx context.Context, c config.Config, logger *slog.Logger) (*metadata.Store, error) {
	if c.MetadataMariaDB == nil {
		return metadata.Open(ctx, c.Data, logger)
	}
	access, err := databaseAccess("metadataMariaDB", c.MetadataMariaDB)
	if err != nil {
		return nil, err
	}
	return metadata.OpenMariaDB(ctx, access, logger)
}

// databaseAccess is how a database of MariaDB is reached; key names the setting.
func databaseAccess(key string, m *config.MariaDB) (mariadb.Config, error) {
	access := mariadb.Config{Address: m.Address, Database: m.Database, User: m.User}
	var err error
	if access.Password, err = config.ReadSecret(m.PasswordFile); err != nil || !m.TLS {
		return access, err
	}
	access.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	access.TLS.RootCAs, err = loadPool(key+".ca", m.CA)
	return access, err
}
