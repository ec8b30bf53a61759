package message_test

import (
	"reflect"
	"strings"
	"testing"

	"mailreplica/internal/message"
)

func TestEnvelope(t *testing.T) {
	one := func(name, mailbox, host string) []message.Address {
		return []message.Address{{Name: name, Mailbox: mailbox, Host: host}}
	}
	user := one("", "user", "domain")
	for _, c := range []struct {
		name, header string
		want         message.Envelope
	}{
		{"all", "Message-ID: <msg@id>\nIn-Reply-To: <reply@to.id>\nDate: Thu, 15 Feb 2007 01:02:03 +0200\n" +
			"Subject: subject header\nFrom: From Real <f@from.example>\nTo: To Real <t@to.example>\n" +
			"Cc: Cc Real <c@cc.example>\nBcc: Bcc Real <b@bcc.example>\nSender: Sender Real <s@s.example>\n" +
			"Reply-To: ReplyTo Real <r@r.example>\n",
			message.Envelope{
				Date: "Thu, 15 Feb 2007 01:02:03 +0200", Subject: "subject header",
				From: one("From Real", "f", "from.example"), Sender: one("Sender Real", "s", "s.example"),
				ReplyTo: one("ReplyTo Real", "r", "r.example"), To: one("To Real", "t", "to.example"),
				Cc: one("Cc Real", "c", "cc.example"), Bcc: one("Bcc Real", "b", "bcc.example"),
				InReplyTo: "<reply@to.id>", MessageID: "<msg@id>",
			}},
		{"sender and reply-to default", "From: user@domain\n",
			message.Envelope{From: user, Sender: user, ReplyTo: user}},
		{"sender and reply-to empty", "From: user@domain\nSender: \nReply-To:\n",
			message.Envelope{From: user, Sender: user, ReplyTo: user}},
		{"nothing", "X: y\n", message.Envelope{}},
		{"empty is not absent", "Subject:\nDate: \nMessage-Id:\n  \n",
			message.Envelope{Empty: message.FieldSubject | message.FieldDate | message.FieldMessageID}},
		{"folded", "Subject: one\n\ttwo\n  three  \n", message.Envelope{Subject: "one\ttwo  three"}},
		{"first counts", "Subject: one\nSUBJECT: two\n", message.Envelope{Subject: "one"}},
		{"lists are joined", "From: user@domain\nFROM: a@b\n", message.Envelope{
			From:    append(user[:1:1], one("", "a", "b")...),
			Sender:  append(user[:1:1], one("", "a", "b")...),
			ReplyTo: append(user[:1:1], one("", "a", "b")...),
		}},
		{"8-bit and NUL are kept", "Subject: gr\xfc\xdfe \x00 \xe2\x82\xac\n",
			message.Envelope{Subject: "gr\xfc\xdfe \x00 \xe2\x82\xac"}},
		{"encoded words are kept", "Subject: =?utf-8?q?a_b?=\n", message.Envelope{Subject: "=?utf-8?q?a_b?="}},
		{"stray CR", "Subject: a\rb\n", message.Envelope{Subject: "ab"}},
		{"blank before colon", "Subject : x\n", message.Envelope{Subject: "x"}},
		{"line without colon", "junk\n more\nSubject: x\n", message.Envelope{Subject: "x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, mail := range []string{c.header + "\nbody\n", crlf(c.header + "\nbody\n"), c.header} {
				if got := parse(t, mail).Envelope; !reflect.DeepEqual(got, c.want) {
					t.Errorf("%q:\ngot  %+v\nwant %+v", mail, got, c.want)
				}
			}
		})
	}
}

// show writes an address list as ENVELOPE would, without the outer parentheses.
func show(list []message.Address) string {
	var b strings.Builder
	or := func(s, nil string) string {
		if s == "" {
			return nil
		}
		return `"` + s + `"`
	}
	for _, a := range list {
		mailbox, host := or(a.Mailbox, `""`), or(a.Host, `""`)
		switch a.Group {
		case message.GroupStart:
			host = "NIL"
		case message.GroupEnd:
			mailbox, host = "NIL", "NIL"
		}
		b.WriteString("(" + or(a.Name, "NIL") + " " + or(a.Route, "NIL") + " " + mailbox + " " + host + ")")
	}
	return b.String()
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct{ list, want string }{
		{`user@domain`, `(NIL NIL "user" "domain")`},
		{`"user"@domain`, `(NIL NIL "user" "domain")`},
		{`"user name"@domain`, `(NIL NIL "user name" "domain")`},
		{`"user@na\\me"@domain`, `(NIL NIL "user@na\me" "domain")`},
		{`"user\"name"@domain`, `(NIL NIL "user"name" "domain")`},
		{`""@domain`, `(NIL NIL "" "domain")`},
		{`user`, `(NIL NIL "user" "")`},
		{`@domain`, `(NIL NIL "" "domain")`},
		{`Display Name`, `("Display Name" NIL "" "")`},
		{`"Display Name"`, `("Display Name" NIL "" "")`},
		{`Display "Name"`, `("Display Name" NIL "" "")`},
		{`<user@domain>`, `(NIL NIL "user" "domain")`},
		{`<"user name"@domain>`, `(NIL NIL "user name" "domain")`},
		{`<user>`, `(NIL NIL "user" "")`},
		{`<>`, `(NIL NIL "" "")`},
		{`<user-from (comment)@ (comment) domain.example>`, `(NIL NIL "user-from" "domain.example")`},
		{`user@domain (Real Name)`, `("Real Name" NIL "user" "domain")`},
		{`user@domain (Re(a)l \) Name)`, `("Re(a)l ) Name" NIL "user" "domain")`},
		{`user@domain ()`, `(NIL NIL "user" "domain")`},
		{`user (Display Name)`, `("Display Name" NIL "user" "")`},
		{`Display Name <user@domain>`, `("Display Name" NIL "user" "domain")`},
		{`"Display\"Name" <user@domain>`, `("Display"Name" NIL "user" "domain")`},
		{`"" <user@domain>`, `(NIL NIL "user" "domain")`},
		{`John Q. Public <j@x>`, `("John Q. Public" NIL "j" "x")`},
		{`=?utf-8?q?J=C3=B6rg?= =?utf-8?q?X?= <j@x>`, `("=?utf-8?q?J=C3=B6rg?= =?utf-8?q?X?=" NIL "j" "x")`},
		{`<@route:user@domain>`, `(NIL "@route" "user" "domain")`},
		{`N <@route,@route2:user@domain>`, `("N" "@route,@route2" "user" "domain")`},
		{`<@route@route2:user@domain>`, `(NIL "@route,@route2" "user" "domain")`},
		{`"foo: <a@b>;," <user@domain>`, `("foo: <a@b>;," NIL "user" "domain")`},
		{`a@b, c@d`, `(NIL NIL "a" "b")(NIL NIL "c" "d")`},
		{`a@b,, ,c@d,`, `(NIL NIL "a" "b")(NIL NIL "c" "d")`},
		{`a@b; c@d`, `(NIL NIL "a" "b")(NIL NIL "c" "d")`},
		{`group: g1@d1.example, g2@d2.example;, group2: g3@d3.example;`, `(NIL NIL "group" NIL)(NIL NIL "g1" "d1.example")` +
			`(NIL NIL "g2" "d2.example")(NIL NIL NIL NIL)(NIL NIL "group2" NIL)(NIL NIL "g3" "d3.example")(NIL NIL NIL NIL)`},
		{`group:;, group2: (foo) ;`, `(NIL NIL "group" NIL)(NIL NIL NIL NIL)(NIL NIL "group2" NIL)(NIL NIL NIL NIL)`},
		{`undisclosed-recipients:;`, `(NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL)`},
		{`open: a@b`, `(NIL NIL "open" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL)`},
		{`open: A <a@b>, c@d`, `(NIL NIL "open" NIL)("A" NIL "a" "b")(NIL NIL "c" "d")(NIL NIL NIL NIL)`},
		{`a . b @ c . d`, `(NIL NIL "a.b" "c.d")`},
		{`.@x, ..foo..@x`, `(NIL NIL "." "x")(NIL NIL "..foo.." "x")`},
		{`user@[127.0.0.1], u@[IPv6:::1]`, `(NIL NIL "user" "[127.0.0.1]")(NIL NIL "u" "[IPv6:::1]")`},
		// malformed, and yet what was meant is plain
		{`a@b <a@b>`, `("a@b" NIL "a" "b")`},
		{`John Doe john@x`, `("John Doe" NIL "john" "x")`},
		{`A <a@b, C <c@d>`, `("A" NIL "a" "b")("C" NIL "c" "d")`},
		{`A <a@b> junk, c@d`, `("A" NIL "a" "b")(NIL NIL "c" "d")`},
		{`aaaa@`, `(NIL NIL "aaaa" "")`},
		{`a(aa`, `("aa" NIL "a" "")`},
		{`"a@b, c@d`, `("a@b, c@d" NIL "" "")`},
		{`gr\xfc\xdfe <a@b>`, `("gr\xfc\xdfe" NIL "a" "b")`},
		{``, ``}, {` `, ``}, {`,`, ``}, {`;`, ``}, {`()`, ``},
	} {
		t.Run(c.list, func(t *testing.T) {
			e := parse(t, "To: "+c.list+"\r\n\r\n").Envelope
			if got := show(e.To); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestAddressesFolded(t *testing.T) {
	got := show(parse(t, "To: A <a@b>,\r\n \"B\r\n C\" <c@d> ,\r\n\te@f (x\r\n y)\r\n\r\n").Envelope.To)
	if want := `("A" NIL "a" "b")("B C" NIL "c" "d")("x y" NIL "e" "f")`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSentDate(t *testing.T) {
	for _, c := range []struct{ value, want string }{
		{"Sun, 25 Mar 2007 00:30:00 +0200", "2007-03-25"},
		{"25 Mar 2007 23:59:59 -0800 (PST)", "2007-03-25"},
		{"Sun,  5 Mar 2007 00:30:00 GMT", "2007-03-05"},
		{"yesterday", ""},
		{"", ""},
	} {
		got := ""
		if d, ok := message.SentDate(c.value); ok {
			got = d.Format("2006-01-02")
		}
		if got != c.want {
			t.Errorf("SentDate(%q): got %q, want %q", c.value, got, c.want)
		}
	}
}
