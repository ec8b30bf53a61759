package credential_test

import (
	"strings"
	"testing"

	"mailreplica/internal/credential"
	"mailreplica/internal/fault"
)

const newHashPrefix = "$argon2id$v=19$m=19456,t=2,p=1$"

// A hash of the reference implementation's own tests (P-H-C/phc-winner-argon2, src/test.c).
func TestVerifiesTheReferenceImplementationsHash(t *testing.T) {
	const hash = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if err := credential.Verify(hash, "password"); err != nil {
		t.Error(err)
	}
}

func TestHashVerifies(t *testing.T) {
	for _, password := range []string{"a", "correct horse", "pässwörd", strings.Repeat("x", 1024), "nul\x00byte"} {
		hash, err := credential.Hash(password)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(hash, newHashPrefix) {
			t.Errorf("got %s", hash)
		}
		if err := credential.Verify(hash, password); err != nil {
			t.Errorf("%q: %v", password, err)
		}
		if err := credential.Verify(hash, password+" "); !fault.Is(err, fault.Credentials) {
			t.Errorf("%q with a blank: %v", password, err)
		}
		again, err := credential.Hash(password)
		if err != nil || again == hash {
			t.Errorf("two hashes of %q are %s, %v", password, again, err)
		}
	}
}

func TestPasswordLimits(t *testing.T) {
	for _, password := range []string{"", strings.Repeat("x", 1025)} {
		if _, err := credential.Hash(password); !fault.Is(err, fault.Invalid) {
			t.Errorf("a password of %d bytes: %v, want Invalid", len(password), err)
		}
	}
	hash, err := credential.Hash("x")
	if err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{"", strings.Repeat("x", 1<<20)} {
		if err := credential.Verify(hash, password); !fault.Is(err, fault.Credentials) {
			t.Errorf("a password of %d bytes: %v, want Credentials", len(password), err)
		}
	}
	if err := credential.Verify("", ""); !fault.Is(err, fault.Credentials) {
		t.Errorf("an account without a password: %v", err)
	}
}

func TestHashesThatAreRefused(t *testing.T) {
	good, err := credential.Hash("x")
	if err != nil {
		t.Fatal(err)
	}
	if err := credential.CheckHash(good); err != nil {
		t.Error(err)
	}
	const salt, key = "$AAAAAAAAAAAAAAAAAAAAAA", "$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	if err := credential.CheckHash("$argon2id$v=19$m=65536,t=3,p=4" + salt + key); err != nil {
		t.Errorf("a stronger hash: %v", err)
	}
	for _, hash := range []string{
		"plain", "$2y$10$abcdefghijklmnopqrstuv", "{SSHA}abc", good + "$", good[1:], good[:len(good)-1] + "=",
		"$argon2i$v=19$m=19456,t=2,p=1" + salt + key,
		"$argon2id$v=16$m=19456,t=2,p=1" + salt + key,
		"$argon2id$v=19$m=4294967295,t=2,p=1" + salt + key,
		"$argon2id$v=19$m=4294967296,t=2,p=1" + salt + key,
		"$argon2id$v=19$m=19456,t=0,p=1" + salt + key,
		"$argon2id$v=19$m=19456,t=1000000,p=1" + salt + key,
		"$argon2id$v=19$m=19456,t=2,p=0" + salt + key,
		"$argon2id$v=19$m=19456,t=2,p=256" + salt + key,
		"$argon2id$v=19$m=8,t=2,p=2" + salt + key,
		"$argon2id$v=19$t=2,m=19456,p=1" + salt + key,
		"$argon2id$v=19$m=19456,t=2" + salt + key,
		"$argon2id$v=19$m=-1,t=2,p=1" + salt + key,
		"$argon2id$v=19$m=19456,t=2,p=1$AAAA" + key,
		"$argon2id$v=19$m=19456,t=2,p=1" + salt + "$AAAA",
		"$argon2id$v=19$m=19456,t=2,p=1" + salt + "$!!!!",
		"$argon2id$v=19$m=19456,t=2,p=1" + salt + "$" + strings.Repeat("A", 1000),
	} {
		if err := credential.Verify(hash, "x"); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %v, want Internal", hash, err)
		}
		if err := credential.CheckHash(hash); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %v, want Internal", hash, err)
		}
	}
}

func FuzzCheckHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, hash string) {
		if err := credential.CheckHash(hash); err != nil && !fault.Is(err, fault.Internal) {
			t.Errorf("%q: %v", hash, err)
		}
	})
}
