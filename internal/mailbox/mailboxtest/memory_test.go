package mailboxtest_test

import (
	"testing"

	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailbox/mailboxtest"
)

func TestMemory(t *testing.T) {
	mailboxtest.Run(t, "memory", func(testing.TB) mailboxtest.Store { return mailbox.NewMemory() })
}
