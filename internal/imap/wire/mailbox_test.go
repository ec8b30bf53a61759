package wire_test

import (
	"strings"
	"testing"

	"mailreplica/internal/imap/wire"
)

func TestMailboxNames(t *testing.T) {
	for _, test := range []struct{ encoded, name string }{
		{"INBOX", "INBOX"},
		{"a/b", "a/b"},
		{"a&-b", "a&b"},
		{"p&AOQA5A-", "pää"},
		{"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"}, // RFC 3501 section 5.1.3
		{"&2D3eAA-", "😀"},
		{"&AAk-", "\t"},
		{"&AH8-", "\x7f"},
		{"&7+k-", "\xe9"}, // a byte that is no UTF-8
		{"&AOnv6Q-", "é\xe9"},
		{"&78PvqQ-", "\uefc3\uefa9"}, // private characters whose bytes would be UTF-8 together
		{"&,,0-", "\ufffd"},
	} {
		if got := wire.DecodeMailbox(test.encoded); got != test.name {
			t.Errorf("decode %q: got %q, want %q", test.encoded, got, test.name)
		}
		if got := wire.EncodeMailbox(test.name); got != test.encoded {
			t.Errorf("encode %q: got %q, want %q", test.name, got, test.encoded)
		}
	}
}

// What is no modified UTF-7 is the name itself; what a client then sees listed leads to the same name.
func TestMailboxNamesThatAreNotEncoded(t *testing.T) {
	for _, encoded := range []string{
		"&", "a&b", "&AGE-", "&AOQ", "&AOQ-&AOQ-", "&AOR-", "&A-", "&AAA-", "&2D0-", "&3gDYPQ-", "&AOQ=-", "pää", "\xe9t\xe9", "&AO\nQ-",
		"a&7+k", "\uef80", "\uefc3\uefa9",
	} {
		name := wire.DecodeMailbox(encoded)
		if again := wire.DecodeMailbox(wire.EncodeMailbox(name)); again != name {
			t.Errorf("%q means %q, which is listed as %q and then means %q", encoded, name, wire.EncodeMailbox(name), again)
		}
	}
	if got := wire.DecodeMailbox("a&b"); got != "a&b" {
		t.Errorf("got %q, want the name as sent", got)
	}
}

func TestInboxHasOneSpelling(t *testing.T) {
	for in, want := range map[string]string{
		"inbox": "INBOX", "iNbOx/a": "INBOX/a", "inboxes": "inboxes", "inbo": "inbo", "a/inbox": "a/inbox", "INBOX/inbox": "INBOX/inbox",
	} {
		if got := wire.DecodeMailbox(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestMatchMailbox(t *testing.T) {
	for _, test := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "a/b", true}, {"%", "a/b", false}, {"%", "a", true}, {"%/%", "a/b", true}, {"%/%", "a/b/c", false},
		{"a*", "a", true}, {"*a", "b/a", true}, {"a%c", "abc", true}, {"a%c", "a/c", false}, {"", "", true}, {"", "a", false},
		{"%3/%4", "test3/test4", true}, {"%t*4", "test3/test4", true}, {"*test*", "x/test", true}, {"a/%", "a", false}, {"a/%", "a/", true},
		{"inbox", "INBOX", true}, {"inbox/%", "INBOX/a", true}, {"inbo%", "INBOX", false}, {"INB%", "INBOX", true}, {"a", "A", false},
		{"**%%*", "", true}, {strings.Repeat("*a", 500) + "b", strings.Repeat("a", 5000), false},
	} {
		if got := wire.MatchMailbox(test.pattern, test.name, '/'); got != test.want {
			t.Errorf("%.20q matches %.20q: got %v, want %v", test.pattern, test.name, got, test.want)
		}
	}
}
