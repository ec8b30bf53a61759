package eventlog

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"mailreplica/internal/fault"
)

// ErrRefused is in the chain of an error that says: a broker runs there, and client and broker do not agree on how to talk. It
// lasts until somebody changes a setting, unlike brokers that are away.
var ErrRefused = errors.New("the brokers refused the connection")

// refusal says why a broker did not let the client in, in words that hold no password; nil if that is not what happened. What
// the brokers themselves say of it is in the cause only: it is for the log.
func refusal(err error) *fault.Error {
	refused := func(message, hint string) *fault.Error { return refused(err, message, hint) }
	if err == nil {
		return nil
	}
	if mend := strangerWords(err); mend != nil {
		return refused(mend[0], mend[1])
	}
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		age       x509.CertificateInvalidError
		record    tls.RecordHeaderError
		alert     tls.AlertError
	)
	switch {
	case errors.As(err, &authority):
		return refused("the brokers' certificate is signed by nobody whom this mailstore trusts",
			"name the PEM file of who signed it in log.ca")
	case errors.As(err, &name):
		return refused("the brokers' certificate is for another name than the one they are called by: "+name.Error(),
			"name the brokers as their certificates do, or give them certificates for these names")
	case errors.As(err, &age):
		return refused("the brokers' certificate is not valid: "+age.Error(), "renew it, and check this machine's clock")
	case errors.As(err, &record), strings.Contains(err.Error(), "first record does not look like a TLS handshake"):
		return refused("the brokers do not speak TLS at this address", "use the port of their TLS listener, or set log.tls to false")
	case errors.As(err, &alert):
		return refused("the brokers ended the TLS handshake: "+alert.Error(), "check the TLS settings of the listener: versions, and whether it demands client certificates")
	}
	return nil
}

func refused(err error, message, hint string) *fault.Error {
	return fault.Wrap(fault.LogUnavailable, fmt.Errorf("%w: %w", ErrRefused, err), "%s", message).WithHint("%s", hint)
}

// strangerWords are the words and the hint for an authentication that failed.
func strangerWords(err error) []string {
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return []string{"the brokers do not accept the user name and password", "check log.user and log.passwordFile; kafka-configs.sh --describe --entity-type users names the users that the brokers know"}
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return []string{"the brokers do not take this kind of authentication", "set log.sasl to one that the brokers' sasl.enabled.mechanisms names"}
	case errors.Is(err, kerr.IllegalSaslState):
		return []string{"the brokers want no authentication at this address", "use the port of their SASL listener, or leave log.sasl out"}
	}
	return nil
}

// firstRefusal is refusal for brokers that never answered this client before. It knows of what Kafka does with a client that it
// does not understand, too: it closes the connection without a word, or answers in TLS what was asked in the clear. A
// broker that is killed closes connections just so, which is why this is no refusal later on.
func firstRefusal(err error) *fault.Error {
	var first *kgo.ErrFirstReadEOF
	switch {
	case err == nil:
		return nil
	case errors.As(err, &first), strings.Contains(err.Error(), "invalid large response size"):
		return refused(err, "the brokers end the connection at once: what this mailstore says is not what they await at this address",
			"set log.tls, and log.sasl with log.user and log.passwordFile, as the brokers' listener at this port demands")
	}
	return refusal(err)
}
