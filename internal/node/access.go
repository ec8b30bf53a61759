package node

import (
	"crypto/tls"

	"mailreplica/internal/config"
	"mailreplica/internal/eventlog"
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
