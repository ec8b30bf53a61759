package deploy_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mailreplica/internal/config"
)

// parameters reads main.cf as postconf(5) has it: a line that begins with white space continues the one before.
func parameters(t *testing.T) map[string]string {
	t.Helper()
	name, all := "", map[string]string{}
	for line := range strings.Lines(read(t, "postfix", "main.cf")) {
		before, value, found := strings.Cut(line, "=")
		switch {
		case strings.TrimSpace(line) == "", line[0] == '#':
		case line[0] == ' ':
			all[name] += " " + strings.TrimSpace(line)
		case !found:
			t.Errorf("main.cf: %q is no parameter", line)
		default:
			name = strings.TrimSpace(before)
			if _, twice := all[name]; twice {
				t.Errorf("main.cf has %s twice", name)
			}
			all[name] = strings.TrimSpace(value)
		}
	}
	return all
}

// TestPostfixTransport: the mail servers know the mailstores of these examples. Postfix takes inet: before the first of several alone; it
// ends when it comes to another one with it, which is when the first does not answer.
func TestPostfixTransport(t *testing.T) {
	mailstores, first := strings.CutPrefix(parameters(t)["virtual_transport"], "lmtp:inet:")
	got := strings.Split(mailstores, ", ")
	var want []string
	examples, _ := filepath.Glob("mailstore/*.yaml")
	for _, example := range examples {
		c, err := config.Load(example)
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(c.Listen.LMTP)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, net.JoinHostPort(c.FQDN, port))
	}
	if !first || !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestPostfixLimits: Postfix takes nothing that a mailstore refuses for its size or number. Three mail servers are what the examples speak of.
func TestPostfixLimits(t *testing.T) {
	p, mailstore := parameters(t), config.Default().LMTP
	number := func(name string) int64 {
		n, err := strconv.ParseInt(p[name], 10, 64)
		if err != nil {
			t.Errorf("%s is %q: %v", name, p[name], err)
		}
		return n
	}
	if got, limit := number("message_size_limit"), mailstore.MessageBytesMax-1<<19; got > limit {
		t.Errorf("message_size_limit is %d, want at most %d: what is put in front of a message counts", got, limit)
	}
	if got := number("lmtp_destination_recipient_limit"); got > int64(mailstore.RecipientsMax) {
		t.Errorf("lmtp_destination_recipient_limit is %d, want at most %d", got, mailstore.RecipientsMax)
	}
	if got := 3 * number("lmtp_destination_concurrency_limit"); got > int64(mailstore.SessionsMax)/2 {
		t.Errorf("three mail servers open %d sessions, want at most half of %d: mailstores pass mail on to each other", got, mailstore.SessionsMax)
	}
	if p["unverified_recipient_reject_code"] != "550" || p["unverified_recipient_defer_code"][0] != '4' {
		t.Errorf("unknown recipients are told %s, those that cannot be asked for %s", p["unverified_recipient_reject_code"], p["unverified_recipient_defer_code"])
	}
}

// TestPostfixItself has postconf read the files, where Postfix is installed: it names parameters that there are not.
func TestPostfixItself(t *testing.T) {
	postconf, err := exec.LookPath("postconf")
	if err != nil {
		return
	}
	folder := t.TempDir()
	for name, before := range map[string]string{"main.cf": "", "master.cf": "lmtp unix - - n - - lmtp\n"} { // as every master.cf has it
		if err := os.WriteFile(filepath.Join(folder, name), []byte(before+read(t, "postfix", name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, show := range []string{"-n", "-M"} {
		out, err := exec.CommandContext(t.Context(), postconf, "-c", folder, show).CombinedOutput()
		if err != nil || strings.Contains(string(out), "warning:") || strings.Contains(string(out), "fatal:") {
			t.Errorf("postconf %s: %v\n%s", show, err, out)
		}
	}
}
