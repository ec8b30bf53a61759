package node

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"mailreplica/internal/config"
	"mailreplica/internal/directory"
	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
	"mailreplica/internal/mariadb"
	"mailreplica/internal/metadata"
	"mailreplica/internal/pause"
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
	return awaitMetadata(ctx, access, logger)
}

const (
	databaseWaitMax  = 10 * time.Minute // a recovery after a power cut takes its time
	databaseAskEvery = time.Second
	databaseSayEvery = 30 * time.Second
)

// awaitMetadata waits for a server that does not answer: after a power cut it may start later than the mailstore, and nobody
// should have to start the mailstore a second time. Whatever else is wrong does not mend itself, and is told at once.
func awaitMetadata(ctx context.Context, access mariadb.Config, logger *slog.Logger) (*metadata.Store, error) {
	begun, said := time.Now(), time.Time{}
	for {
		store, err := metadata.OpenMariaDB(ctx, access, logger)
		if err == nil || ctx.Err() != nil || mariadb.ClassOf(err) != mariadb.Lost || time.Since(begun) > databaseWaitMax {
			return store, err
		}
		if time.Since(said) >= databaseSayEvery {
			logger.Warn("waiting for the mailstore's database", "error", err, "hint", fault.HintOf(err), "most", databaseWaitMax)
			said = time.Now()
		}
		_ = pause.For(ctx, databaseAskEvery) // who opens it sees it, too
	}
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
