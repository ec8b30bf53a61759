package mailboxtest

import (
	"flag"
	"os"
	"testing"

	"mailreplica/internal/mailbox"
)

// Main runs a package's tests, each with CheckMemory.
func Main(m *testing.M) {
	CheckMemory()
	os.Exit(m.Run())
}

// CheckMemory has every answer from memory compared with the rows, by every test of a package, but not where it is measured how long they take.
func CheckMemory() {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		mailbox.CheckMemory(true)
	}
}
