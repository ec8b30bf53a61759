package e2e_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"

	"mailreplica/internal/config"
)

const smallMax = 1 << 20 // bytes of a message, in this test

// commands are what an attacker would have run.
func commands() string {
	return "z1 LOGOUT\r\nz2 DELETE Keep\r\nz3 SELECT INBOX\r\nz4 STORE 1:* +FLAGS (\\Deleted)\r\nz5 EXPUNGE\r\nz6 CREATE Evil\r\n" +
		"RSET\r\nMAIL FROM:<evil@example.net>\r\nRCPT TO:<content01@example.com>\r\nDATA\r\nSubject: evil\r\n\r\nevil\r\n"
}

func contentCluster(t *testing.T) (*cluster, string) {
	c := newCluster(t, 1, func(f *config.Config) { f.IMAP.MessageBytesMax, f.LMTP.MessageBytesMax = smallMax, smallMax })
	name := c.accounts("content", 1)[0]
	session := c.login(1, name)
	must(t, session, "CREATE Keep")
	c.deliver(1, tagged("first", plain("first")), name)
	return c, name
}

// untouched checks that nothing of the content was run, and how many messages there are.
func (c *cluster) untouched(name, after string, messages int) {
	c.t.Helper()
	session, err := login(c.store(1).imap, name)
	if err != nil {
		c.t.Fatalf("after %s: %v", after, err)
	}
	defer session.close()
	folders, _, err := session.folders()
	if err != nil {
		c.t.Fatalf("after %s: %v", after, err)
	}
	if all := strings.Join(folders, " "); !strings.Contains(all, "Keep") || strings.Contains(all, "Evil") {
		c.t.Errorf("after %s the folders are %s", after, all)
	}
	_, rows, err := session.look("INBOX", 1)
	if err != nil || len(rows) != messages || rows[0].id != "first" || strings.Contains(rows[0].flags, "Deleted") {
		c.t.Errorf("after %s INBOX holds %+v (%v), want %d messages", after, rows, err, messages)
	}
}

// TestContentIsNeverACommandIMAP sends commands where literals are refused, too big, cut or misplaced.
func TestContentIsNeverACommandIMAP(t *testing.T) {
	t.Parallel()
	c, name := contentCluster(t)
	inside, big := commands(), strings.Repeat(commands(), 1+smallMax/len(commands()))
	cases := []struct {
		name, sends string
		answers     string // what the tagged answer begins with; empty: the connection may end instead
	}{
		{"a literal that is too big", fmt.Sprintf("c APPEND INBOX {%d+}\r\n%s\r\n", len(big), big), ""},
		{"a literal for no folder", fmt.Sprintf("c APPEND Nowhere {%d+}\r\n%s\r\n", len(inside), inside), "NO [TRYCREATE]"},
		{"a literal after wrong flags", fmt.Sprintf("c APPEND INBOX (\\Seen(( {%d+}\r\n%s\r\n", len(inside), inside), "BAD"},
		{"a literal after a wrong date", fmt.Sprintf("c APPEND INBOX \"yesterday\" {%d+}\r\n%s\r\n", len(inside), inside), "BAD"},
		{"a literal in an unknown command", fmt.Sprintf("c FROBNICATE {%d+}\r\n%s\r\n", len(inside), inside), "BAD"},
		{"a literal in a command that takes none", fmt.Sprintf("c NOOP {%d+}\r\n%s\r\n", len(inside), inside), "BAD"},
		{"a literal as a folder's name", fmt.Sprintf("c SELECT {%d+}\r\n%s\r\n", len(inside), inside), ""},
		{"a literal in a search", fmt.Sprintf("c UID SEARCH SUBJECT {%d+}\r\n%s\r\n", len(inside), inside), ""},
		{"a number that is no number", "c APPEND INBOX {99999999999999999999+}\r\n" + inside + "\r\n", ""},
		{"an over-long line", "c NOOP " + strings.Repeat("A", 2<<20) + "\r\n", ""},
	}
	for _, one := range cases {
		session, err := login(c.store(1).imap, name)
		if err != nil {
			t.Fatal(err)
		}
		sent := session.send("%s", one.sends)
		_, answer, err := session.finish("c")
		switch {
		case one.answers != "" && !strings.HasPrefix(answer, one.answers):
			t.Errorf("%s is answered %q (%v), want %s", one.name, answer, err, one.answers)
		case answer == "" && one.answers == "":
			t.Logf("%s ends the connection (%v, %v)", one.name, sent, err)
		default:
			if _, _, err := session.do("NOOP"); err != nil && one.answers != "" {
				t.Errorf("after %s (%s) the session does not go on: %v", one.name, answer, err)
			}
			t.Logf("%s is answered %.60q", one.name, answer)
		}
		session.close()
		c.untouched(name, one.name, 1)
	}
	c.synchronising(name, len(big))
}

// synchronising literals are refused before they are sent; what is sent all the same are commands of the client's own.
func (c *cluster) synchronising(name string, tooBig int) {
	c.t.Helper()
	session := c.login(1, name)
	for _, command := range []string{fmt.Sprintf("APPEND INBOX {%d}", tooBig), "APPEND Nowhere {100}", "APPEND INBOX (\\Seen(( {100}"} {
		if _, answer, err := session.do("%s", command); err == nil || strings.HasPrefix(answer, "+") {
			c.t.Errorf("%s is answered %q, want a refusal before the literal", command, answer)
		}
		must(c.t, session, "NOOP")
	}
	half := c.login(1, name)
	message := tagged("half", plain("cut"))
	if err := half.send("c APPEND INBOX {%d}\r\n", len(message)); err != nil {
		c.t.Fatal(err)
	}
	if r, err := half.response(); err != nil || !strings.HasPrefix(r.text, "+") {
		c.t.Fatalf("%v %v", r, err)
	}
	if err := half.send("%s", message[:len(message)/2]); err != nil {
		c.t.Fatal(err)
	}
	half.close()
	c.untouched(name, "a literal that is cut", 1)
	whole := []byte(commands())
	if _, err := session.appendMessage("INBOX", "", whole); err != nil {
		c.t.Errorf("commands as a message: %v", err)
	}
	lines, _, err := session.do("UID FETCH 2 BODY.PEEK[]")
	if _, _, selected := session.do("SELECT INBOX"); selected == nil {
		lines, _, err = session.do("UID FETCH 2:* BODY.PEEK[]")
	}
	if err != nil || len(lines) != 1 || len(lines[0].literals) != 1 || !bytes.Equal(lines[0].literals[0], whole) {
		c.t.Errorf("commands as a message come back as %v, %v", lines, err)
	}
	c.untouched(name, "commands as a message", 2)
}

// TestContentIsNeverACommandLMTP smuggles commands in DATA.
func TestContentIsNeverACommandLMTP(t *testing.T) {
	t.Parallel()
	c, name := contentCluster(t)
	messages := 1
	envelope := "MAIL FROM:<a@example.net>\r\nRCPT TO:<" + name + ">\r\nDATA\r\n"
	for _, end := range []string{"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\n.\r", "\r\n\x00.\r\n", "\r\r\n.\r\r\n", ".\r\n.\r"} {
		l := c.rawLMTP(1)
		for _, line := range []string{"LHLO x\r\n", "MAIL FROM:<a@example.net>\r\n", "RCPT TO:<" + name + ">\r\n", "DATA\r\n"} {
			if reply, err := l.say(line); err != nil || reply[0] != '2' && reply[0] != '3' {
				t.Fatalf("%q: %q %v", line, reply, err)
			}
		}
		reply, err := l.say(fmt.Sprintf("Subject: outer\r\n\r\ntext%s%s\r\n.\r\n", end, commands()))
		if err != nil {
			t.Errorf("%q in DATA: %v", end, err)
			continue
		}
		if strings.HasPrefix(reply, "250") {
			messages++
		}
		t.Logf("%q in DATA is answered %s", end, reply)
		if again, err := l.say("NOOP\r\n"); err != nil || !strings.HasPrefix(again, "250") {
			t.Errorf("%q in DATA: NOOP is answered %q, %v: one message has one answer", end, again, err)
		}
		c.untouched(name, fmt.Sprintf("%q in DATA", end), messages)
	}

	l := c.rawLMTP(1)
	if _, err := l.conn.Write([]byte("LHLO x\r\n" + envelope)); err != nil { // pipelined
		t.Fatal(err)
	}
	for _, want := range []string{"250", "250", "250", "354"} {
		if reply, err := l.reply(); err != nil || !strings.HasPrefix(reply, want) {
			t.Fatalf("%q %v, want %s", reply, err, want)
		}
	}
	reply, err := l.say(strings.Repeat(commands(), 1+smallMax/len(commands())) + "\r\n.\r\n")
	if err != nil || !strings.HasPrefix(reply, "552") {
		t.Errorf("a message that is too big is answered %q, %v, want 552", reply, err)
	}
	c.untouched(name, "a message that is too big", messages)

	cut := c.rawLMTP(1)
	if _, err := cut.conn.Write([]byte("LHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<" + name + ">\r\nDATA\r\nSubject: half\r\n\r\nte")); err != nil {
		t.Fatal(err)
	}
	if err := cut.conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	for err = error(nil); err == nil; {
		_, err = cut.reply()
	}
	c.untouched(name, "DATA that is cut", messages)

	long := c.rawLMTP(1)
	if reply, err := long.say("LHLO " + strings.Repeat("x", 100_000) + "\r\n"); err == nil && !strings.HasPrefix(reply, "5") {
		t.Errorf("an over-long command line is answered %q", reply)
	}
	c.untouched(name, "an over-long command line", messages)
}
