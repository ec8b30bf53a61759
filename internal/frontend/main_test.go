package frontend_test

import (
	"flag"
	"os"
	"testing"

	"mailreplica/internal/mailbox"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		mailbox.CheckMemory(true) // by every test of this package
	}
	os.Exit(m.Run())
}
