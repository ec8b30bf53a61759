package frontend_test

import (
	"testing"

	"mailreplica/internal/mailbox/mailboxtest"
)

func TestMain(m *testing.M) { mailboxtest.Main(m) }
