package imap_test

import (
	"context"
	"strings"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/imap"
	"mailreplica/internal/imap/memory"
	"mailreplica/internal/mailbox"
)

// counting is a backend that counts transactions, and fails the one that it is told to.
type counting struct {
	*memory.Backend
	updates, fail int
}

func (c *counting) Open(ctx context.Context, id account.ID) (imap.Mailbox, error) {
	m, err := c.Backend.Open(ctx, id)
	return countingMailbox{m, c}, err
}

type countingMailbox struct {
	imap.Mailbox
	backend *counting
}

func (m countingMailbox) Update(ctx context.Context, fn func(*mailbox.Draft) error) error {
	m.backend.updates++
	if m.backend.updates == m.backend.fail {
		return fault.New(fault.LogUnavailable, "as the test wants it")
	}
	return m.Mailbox.Update(ctx, fn)
}

// Commands about more messages than one transaction takes are several transactions. To the client they are one command, whichever of them fails.
func TestPortions(t *testing.T) {
	for name, test := range map[string]struct {
		command string
		updates int
		want    []string // of the answer
		fail    int      // the transaction that fails; 0: none does
		inbox   string   // numbers of messages in INBOX and Drafts afterwards
	}{
		"COPY":                          {"COPY 1:* Drafts", 3, []string{"a OK [COPYUID 2 1:8 1:8] Copied"}, 0, "8 8"},
		"COPY of none":                  {"UID COPY 9:10 Drafts", 1, []string{"a OK Copied"}, 0, "8 0"},
		"COPY nowhere":                  {"COPY 1:* nowhere", 1, []string{"a NO [TRYCREATE]"}, 0, "8 0"},
		"COPY that fails is taken back": {"COPY 1:* Drafts", 5, []string{"a NO [UNAVAILABLE]"}, 3, "8 0"},
		"MOVE":                          {"MOVE 1:* Drafts", 3, []string{"* OK [COPYUID 2 1:8 1:8] Moved", "* 1 EXPUNGE", "a OK Moved"}, 0, "0 8"},
		"MOVE that fails moves some":    {"MOVE 1:* Drafts", 2, []string{"* OK [COPYUID 2 1:3 1:3] Moved", "a NO [UNAVAILABLE]"}, 2, "5 3"},
		"STORE":                         {`STORE 1:* +FLAGS (\Flagged)`, 3, []string{`* 1 FETCH (FLAGS (\Flagged \Deleted \Recent))`, `* 8 FETCH (FLAGS (\Flagged \Deleted \Recent))`, "a OK Stored"}, 0, "8 0"},
		"STORE that fails stores some":  {`STORE 1:* +FLAGS (\Flagged)`, 3, []string{`* 6 FETCH (FLAGS (\Flagged \Deleted \Recent))`, "a NO [UNAVAILABLE]"}, 3, "8 0"},
		"EXPUNGE":                       {"EXPUNGE", 3, []string{"* 1 EXPUNGE", "a OK Expunged"}, 0, "0 0"},
		"EXPUNGE that fails":            {"EXPUNGE", 3, []string{"a NO [UNAVAILABLE]"}, 3, "2 0"},
		"UID EXPUNGE":                   {"UID EXPUNGE 2:7", 2, []string{"* 2 EXPUNGE", "a OK Expunged"}, 0, "2 0"},
		"CLOSE":                         {"CLOSE", 3, []string{"a OK Mailbox closed"}, 0, "0 0"},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := backendWithTest()
			count := &counting{Backend: b}
			_, address := startServer(t, imap.Config{Backend: count, AllowPlaintext: true, ChangeMessagesMax: 3})
			c := login(t, address)
			c.ok(`APPEND INBOX` + strings.Repeat(` (\Deleted) {1+}`+"\r\nm", 8))
			c.ok("SELECT INBOX")
			count.updates, count.fail = 0, test.fail
			answer := strings.Join(c.ask("a "+test.command), "\n")
			for _, want := range test.want {
				if !strings.Contains(answer, want) {
					t.Errorf("got %s\nwant %s in it", answer, want)
				}
			}
			if count.updates != test.updates {
				t.Errorf("%d transactions, want %d", count.updates, test.updates)
			}
			count.fail = 0
			got := strings.Join(append(c.ok("STATUS INBOX (MESSAGES)"), c.ok("STATUS Drafts (MESSAGES)")...), "\n")
			inbox, drafts, _ := strings.Cut(test.inbox, " ")
			if !strings.Contains(got, "INBOX (MESSAGES "+inbox+")") || !strings.Contains(got, "Drafts (MESSAGES "+drafts+")") {
				t.Errorf("got %s\nwant %s in INBOX and Drafts", got, test.inbox)
			}
		})
	}
}
