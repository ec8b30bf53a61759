package kafka

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"mailreplica/internal/fault"
)

const certificateAge = 30 * 24 * time.Hour

func (b *broker) certificateFile() string { return filepath.Join(b.folder, "keystore.pem") }

// makeCertificates makes an authority, and for each broker a key and a certificate in the form that Kafka reads
// (ssl.keystore.type=PEM: the key as PKCS #8, then the chain).
func (c *Cluster) makeCertificates() error {
	failed := func(err error) error {
		return fault.Wrap(fault.Internal, err, "the brokers' certificates cannot be made")
	}
	authority := &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority of a Kafka cluster"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	authorityKey, authorityPEM, err := certify(authority, authority, nil)
	if err != nil {
		return failed(err)
	}
	if err := os.WriteFile(c.CAFile(), authorityPEM, 0o600); err != nil {
		return failed(err)
	}
	for _, b := range c.brokers {
		key, certificate, err := certify(&x509.Certificate{
			Subject:     pkix.Name{CommonName: "broker " + strconv.Itoa(b.index)},
			KeyUsage:    x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		}, authority, authorityKey)
		if err != nil {
			return failed(err)
		}
		encoded, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return failed(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
		text = append(append(text, certificate...), authorityPEM...)
		if err := os.WriteFile(b.certificateFile(), text, 0o600); err != nil {
			return failed(err)
		}
	}
	return nil
}

// certify makes a key and its certificate; without a signer's key it signs itself.
func certify(template, signer *x509.Certificate, signerKey crypto.Signer) (crypto.Signer, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if signerKey == nil {
		signerKey = key
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return nil, nil, err
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(certificateAge)
	encoded, err := x509.CreateCertificate(rand.Reader, template, signer, key.Public(), signerKey)
	if err != nil {
		return nil, nil, err
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: encoded}), nil
}
