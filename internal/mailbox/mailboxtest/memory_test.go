package mailboxtest_test

import (
	"testing"

	"mailreplica/internal/mailbox"
	"mailreplica/internal/mailbox/mailboxtest"
)

func TestMemory(t *testing.T) {
	for _, name := range []string{"memory", "memory-2", "memory-3"} { // the name is the seed
		mailboxtest.Run(t, name, func(testing.TB) mailboxtest.Store { return mailbox.NewMemory() })
	}
}
