package config

import (
	"os"
	"strings"

	"mailreplica/internal/fault"
)

// secretBytesMax bounds a file that holds a password or a token.
const secretBytesMax = 4 << 10

// ReadToken reads a token from its file, which others must not be able to read.
func ReadToken(path string) (string, error) {
	token, err := ReadSecret(path)
	if err != nil {
		return "", err
	}
	if len(token) < 16 || len(token) > 512 {
		return "", fault.New(fault.Invalid, "the token in %s has %d bytes; want 16 to 512", path, len(token)).
			WithHint("write one that nobody can guess, for instance with: openssl rand -hex 24")
	}
	return token, nil
}

// ReadSecret reads a password or token from its file, which others must not be able to read. White space around it is cut.
func ReadSecret(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "the secret in %s cannot be read", path).
			WithHint("write the file, for the mailstore's user alone")
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "the secret in %s cannot be read", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fault.New(fault.Invalid, "the secret in %s can be read by others", path).WithHint("chmod 600 %s", path)
	}
	data, err := readAtMost(file, secretBytesMax)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "the secret in %s cannot be read: %s", path, err)
	}
	return strings.TrimSpace(string(data)), nil
}
