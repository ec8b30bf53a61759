package account_test

import (
	"strings"
	"testing"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
)

func TestParseName(t *testing.T) {
	long := strings.Repeat("a", 64)
	domain := strings.Repeat(strings.Repeat("d", 61)+".", 3) + "x"
	for _, c := range []struct{ in, want string }{
		{"john@example.com", "john@example.com"},
		{"John.Doe+Tag@Example.COM", "john.doe+tag@example.com"},
		{"o'brien@example.com", "o'brien@example.com"},
		{"a@x", "a@x"},
		{"jürgen@müller.example", "jürgen@müller.example"},
		{"JÜRGEN@MÜLLER.example", "jürgen@müller.example"},
		{"用户@例子.广告", "用户@例子.广告"},
		{"under_score@in_ternal.example", "under_score@in_ternal.example"},
		{long + "@example.com", long + "@example.com"},
		{long + "@" + domain, long + "@" + domain},
	} {
		got, err := account.ParseName(c.in)
		if err != nil || got != c.want {
			t.Errorf("ParseName(%q) = %q, %v, want %q", c.in, got, err, c.want)
		}
	}
}

func TestParseNameRefuses(t *testing.T) {
	for _, in := range []string{
		"", "@", "john", "john@", "@example.com", "john*@example.com", "j?hn@example.com", "a@b@c", "a b@x", " a@x", "a@x ",
		`"a"@x`, "a\"@x", "a,b@x", "a;b@x", "a:b@x", "<a@x>", "a@[127.0.0.1]", "a\x00@x", "a\r\n@x", "a\u00a0b@x",
		"a\u2028@x", "a\u202e@x", "a@x..y", "a@.x", "a@x.", "a@-x", "a@x-", ".a@x", "a.@x", "a..b@x", "a@x y", "a@x/y", "\xff@x",
		`a\@x`, "(a)@x", strings.Repeat("a", 65) + "@x", "a@" + strings.Repeat("d", 64), "a@" + strings.Repeat("d.", 127) + "d",
		strings.Repeat("é", 33) + "@x", strings.Repeat("a", 10_000) + "@x",
	} {
		got, err := account.ParseName(in)
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("ParseName(%.80q) = %q, %v, want Invalid", in, got, err)
		}
	}
}

func TestDomain(t *testing.T) {
	if got := account.Domain("john@example.com"); got != "example.com" {
		t.Errorf("got %q, want example.com", got)
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"john@example.com", "JÜRGEN@x", "\u212a@x", "İ@x", "a..b@x", "\xff@x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := account.ParseName(s)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("ParseName(%q): kind %v, want Invalid", s, fault.KindOf(err))
			}
			return
		}
		if len(name) > account.NameBytesMax || strings.ContainsAny(name, " \t\r\n\x00\"*?,<>") {
			t.Fatalf("ParseName(%q) let %q through", s, name)
		}
		if again, err := account.ParseName(name); err != nil || again != name {
			t.Fatalf("ParseName(%q) = %q, then %q, %v", s, name, again, err)
		}
	})
}
