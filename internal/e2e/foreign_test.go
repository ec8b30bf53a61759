package e2e_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const foreignWait = 2 * time.Minute

// foreign runs a program of others; a failure is the test's.
func (c *cluster) foreign(debian, name string, args ...string) string {
	c.t.Helper()
	path := program(c.t, name, debian)
	ctx, cancel := context.WithTimeout(context.Background(), foreignWait)
	defer cancel()
	command := exec.CommandContext(ctx, path, args...)
	command.Env = append(os.Environ(), "HOME="+c.dir)
	out, err := command.CombinedOutput()
	if err != nil {
		c.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

// TestPythonClients lets Python's smtplib and imaplib write on the source and read on the promoted mailstore.
func TestPythonClients(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	name := c.accounts("python", 1)[0]
	shown := c.path("shown.json")
	common := []string{name, password, shown}
	c.foreign("python3", "python3", append([]string{"testdata/clients.py", "write", port(c.store(1).lmtp), port(c.store(1).imap)}, common...)...)
	c.store(1).kill()
	c.promote(2, []string{name})
	t.Log(c.foreign("python3", "python3", append([]string{"testdata/clients.py", "compare", port(c.store(2).lmtp), port(c.store(2).imap)}, common...)...))
}

// TestSwaks delivers with swaks by way of the home and of the other mailstore, and reads what it is refused with.
func TestSwaks(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	name := c.accounts("swaks", 1)[0]
	for i := 1; i <= 2; i++ {
		out := c.foreign("swaks", "swaks", "--protocol", "LMTP", "--server", "127.0.0.1", "--port", port(c.store(i).lmtp), "--from", sender, "--to", name,
			"--header", fmt.Sprintf("X-E2E-Id: swaks-%d", i), "--body", "by swaks\n.\n..dots", "--attach", "-")
		if !strings.Contains(out, "<-  250 2.") {
			t.Errorf("swaks by way of mbox%d:\n%s", i, out)
		}
	}
	rows := c.rows(1, name, "INBOX")
	if len(rows) != 2 || rows[0].id != "swaks-1" || rows[1].id != "swaks-2" {
		t.Errorf("INBOX holds %+v, want both messages of swaks", rows)
	}
	path := program(t, "swaks", "swaks")
	out, err := exec.Command(path, "--protocol", "LMTP", "--server", "127.0.0.1", "--port", port(c.store(2).lmtp), "--from", sender, "--to", "nobody@example.com").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "550 5.1.1") {
		t.Errorf("swaks to nobody ends with %v:\n%s", err, out)
	}
}

// TestMbsync copies a mailbox with mbsync, promotes, and synchronises again: nothing is transferred, no UIDVALIDITY changes,
// and what comes later comes alone.
func TestMbsync(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	name := c.accounts("mbsync", 1)[0]
	all := samples()
	for i, message := range all {
		c.deliver(1, tagged(fmt.Sprintf("m-%d", i), message), name)
	}
	session := c.login(1, name)
	must(t, session, "CREATE Archive")
	must(t, session, "CREATE Work/Later")
	if _, err := session.appendMessage("Work/Later", `(\Flagged \Seen) `, all[0]); err != nil {
		t.Fatal(err)
	}
	must(t, session, "SELECT INBOX")
	must(t, session, `UID STORE 1:3 +FLAGS (\Seen \Answered)`)
	must(t, session, "UID MOVE 4 Archive")
	if err := os.Mkdir(c.path("maildir"), 0o700); err != nil {
		t.Fatal(err)
	}
	first := c.mbsync(1, name)
	copied := c.maildir()
	if len(copied) != len(all)+1 {
		t.Errorf("mbsync has made %d files, want %d:\n%s", len(copied), len(all)+1, first)
	}
	shown := c.picture(1, name) // mbsync may have set flags
	c.store(1).kill()
	c.promote(2, []string{name})
	second := c.mbsync(2, name)
	for _, bad := range []string{"UIDVALIDITY", "rror", "aximal UID", "lost"} {
		if strings.Contains(second, bad) {
			t.Errorf("mbsync after the promotion says %q:\n%s", bad, second)
		}
	}
	if now := c.maildir(); !maps.Equal(now, copied) {
		t.Errorf("mbsync has transferred something after the promotion:\n%s\nnow  %v\nthen %v", second, now, copied)
	}
	same(t, name, c.picture(2, name), shown)
	c.deliver(2, tagged("later", plain("after the promotion")), name)
	third := c.mbsync(2, name)
	if now := c.maildir(); len(now) != len(copied)+1 {
		t.Errorf("mbsync has %d files after one more delivery, want %d:\n%s", len(now), len(copied)+1, third)
	}
	t.Log(lastLine(second), lastLine(third))
}

func lastLine(text string) string {
	lines := strings.FieldsFunc(strings.TrimSpace(text), func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines[max(0, len(lines)-3):], " | ")
}

func (c *cluster) mbsync(i int, name string) string {
	c.t.Helper()
	config := c.write("mbsyncrc", strings.Join([]string{
		"IMAPAccount there", "Host 127.0.0.1", "Port " + port(c.store(i).imap), "User " + name, `Pass "` + password + `"`, "SSLType None", "AuthMechs LOGIN", "",
		"IMAPStore far", "Account there", "",
		"MaildirStore near", "Path " + c.path("maildir") + "/", "Inbox " + c.path("maildir", "INBOX"), "SubFolders Verbatim", "",
		"Channel all", "Far :far:", "Near :near:", "Patterns *", "Create Near", "Sync All", "Expunge Both", "SyncState *", "",
	}, "\n"))
	return c.foreign("isync", "mbsync", "-c", config, "-V", "all")
}

// maildir lists the files of the copy that mbsync keeps, with their contents' hashes.
func (c *cluster) maildir() map[string]string {
	c.t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(c.path("maildir"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = hash(data)
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return files
}
