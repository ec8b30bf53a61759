package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mailreplica/internal/admin/admintest"
)

// cli runs command lines against a platform.
type cli struct {
	*admintest.Platform
	config string
	t      testing.TB
}

func start(t testing.TB, mailstores int) *cli {
	t.Helper()
	c := &cli{Platform: admintest.Start(t, mailstores), config: filepath.Join(t.TempDir(), "carbonio.yaml"), t: t}
	text := "token: " + admintest.AdminToken + "\nendpoints:\n"
	for _, m := range c.Mailstores {
		text += fmt.Sprintf("  %s: %s\n", m.FQDN, strings.TrimPrefix(m.API.URL, "http://"))
	}
	write(t, c.config, text, 0o600)
	return c
}

func write(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// result is what a command line came to.
type result struct {
	code        int
	out, errors string
}

func (c *cli) runWith(ctx context.Context, stdin string, args ...string) result {
	var out, errors bytes.Buffer
	code := run(ctx, args, environment{configPath: c.config, stdin: strings.NewReader(stdin), stdout: &out, stderr: &errors})
	return result{code, out.String(), errors.String()}
}

// run runs a command line of words without blanks.
func (c *cli) run(line string) result {
	c.t.Helper()
	return c.runWith(c.t.Context(), "", strings.Fields(line)...)
}

// ok runs a command line that must succeed, and gives what it printed.
func (c *cli) ok(line string) string {
	c.t.Helper()
	r := c.run(line)
	if r.code != exitSuccessful {
		c.t.Fatalf("%s: exit %d, %s", line, r.code, r.errors)
	}
	return r.out
}

// fails runs a command line that must fail with one line that has the text, and changes nothing.
func (c *cli) fails(line, want string) {
	c.t.Helper()
	before, err := c.Directory.Version(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	r := c.run(line)
	if r.code != exitFailed || r.out != "" || strings.Count(r.errors, "\n") != 1 || !strings.Contains(r.errors, want) {
		c.t.Errorf("%s: exit %d, printed %q, told %q; want exit 1 and one line with %q", line, r.code, r.out, r.errors, want)
	}
	if !strings.HasPrefix(r.errors, "carbonio: ") || !strings.HasSuffix(r.errors, ")\n") {
		c.t.Errorf("%s: told %q, want a line with a hint", line, r.errors)
	}
	after, err := c.Directory.Version(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	if before != after {
		c.t.Errorf("%s: changed the directory", line)
	}
}

var (
	uuids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)
	times = regexp.MustCompile(`20\d\d-\d\d-\d\dT[0-9:.]+Z`)
	ports = regexp.MustCompile(`127\.0\.0\.1:\d{4,5}`)
)

// redacted replaces what is another at every run.
func redacted(text string) string {
	return ports.ReplaceAllString(times.ReplaceAllString(uuids.ReplaceAllString(text, "UUID"), "TIME"), "ADDRESS")
}

// A tour through every command that needs no broker, as a script reads it.
func TestTour(t *testing.T) {
	c := start(t, 3)
	file := filepath.Join(t.TempDir(), "accounts.txt")
	write(t, file, "# two\nalice@example.com\r\nbob@example.com\n", 0o644)
	var tour strings.Builder
	for _, line := range []string{
		"prov createAccount Alice@example.com secret mailHost mbox1.example.com",
		"prov createAccount bob@example.com secret mailHost mbox1.example.com",
		"prov createDistributionList team@example.com",
		"prov getAccount team@example.com",
		"prov modifyAccount alice@example.com status locked isGlobalAdmin true",
		"prov getAllAccounts",
		"--sync mailreplica SETACCOUNTDESTINATION mbox2.example.com 10 input_file " + file,
		"--sync MailReplica setAccountDestination mbox3.example.com 20 alice@example.com",
		"MailReplica getAccountStatus",
		"--json MailReplica getAccountStatus accounts bob@example.com",
		"MailReplica pauseReplicas accounts bob@example.com",
		"MailReplica getAccountStatus accountStatus paused",
		"MailReplica promoteAccounts all",
		"MailReplica restartReplicas all",
		"MailReplica removeAccountDestination destination mbox2.example.com accounts bob@example.com",
		"prov getAllServers",
		"MailReplica getServices",
		"--host mbox2.example.com MailReplica doStopService agent",
		"config get global brokers",
		"config set global notificationFrom postmaster@example.com",
		"config get global",
		"prov deleteAccount bob@example.com",
	} {
		r := c.run(line)
		fmt.Fprintf(&tour, "$ carbonio %s\n%s%s-> %d\n\n", strings.ReplaceAll(line, file, "accounts.txt"), r.out, r.errors, r.code)
	}
	golden(t, "tour.txt", redacted(tour.String()))
	for _, line := range []string{"core getAllOperations", "core getNotification", "--json core getAllOperations"} {
		if out := c.ok(line); !strings.Contains(out, "promoteAccounts") {
			t.Errorf("%s: got %s", line, out)
		}
	}
}

func TestBadInput(t *testing.T) {
	c := start(t, 2)
	c.Account(t, 1, "a@example.com")
	c.Account(t, 2, "b@example.com")
	c.ok("prov createDistributionList team@example.com")
	dir := t.TempDir()
	bad, empty, unknown := filepath.Join(dir, "bad.txt"), filepath.Join(dir, "empty.txt"), filepath.Join(dir, "unknown.txt")
	write(t, unknown, "\xef\xbb\xbf# three\r\na@example.com\r\nx@example.com\r\nA@example.com\r\n", 0o644)
	write(t, bad, "a@example.com\nb*@example.com\n", 0o644)
	write(t, empty, "# nobody\n", 0o644)
	set := "MailReplica setAccountDestination mbox2.example.com 10 "
	for _, test := range []struct{ line, want string }{
		{set + "accounts x@example.com", "there is no account x@example.com"},
		{set + "accounts a*@example.com", "pattern"},
		{set + "a?@example.com", "pattern"},
		{set + "accounts team@example.com", "distribution list"},
		{set + "accounts b@example.com", "is the home of b@example.com"},
		{set + "accounts alice", "neither a name (local@domain) nor an id"},
		{set + "accounts a@example.com,", "missing"},
		{set + "input_file " + filepath.Join(dir, "none.txt"), "there is no such file"},
		{set + "input_file " + dir, dir},
		{set + "input_file " + bad, "bad.txt line 2"},
		{set + "input_file " + empty, "names no account"},
		{set + "accounts b@example.com input_file " + unknown, "unknown.txt line 3: there is no account x@example.com"},
		{"MailReplica getAccountStatus input_file " + unknown, "unknown.txt line 3: there is no account x@example.com"},
		{"MailReplica getAccountStatus mailHost ,", "the list mailHost has an empty entry"},
		{"MailReplica getAccountStatus domains example.com,", "the list domains has an empty entry"},
		{"MailReplica getAccountStatus all accounts a@example.com", "both given (give one of them)"},
		{"prov getAllAccounts domains ,", "the list domains has an empty entry"},
		{set, "no account is selected"},
		{"MailReplica setAccountDestination mbox9.example.com 10 accounts a@example.com", "mbox9.example.com"},
		{"MailReplica setAccountDestination mbox2.example.com ten accounts a@example.com", `priority is "ten"`},
		{"MailReplica setAccountDestination mbox2.example.com 1.5 accounts a@example.com", `priority is "1.5"`},
		{"MailReplica setAccountDestination mbox2.example.com 99999999999 accounts a@example.com", "priority is 99999999999; want 0 to 1000000"},
		{"MailReplica removeAccountDestination mbox2.example.com accounts a@example.com", "has no replica on mbox2"},
		{"MailReplica removeAccountDestination mbox2.example.com", "no account is selected"},
		{"MailReplica promoteAccounts", "no account is selected"},
		{"MailReplica promoteAccounts source_mail_host mbox9.example.com", "mbox9"},
		{"MailReplica promoteAccounts accounts a@example.com threads many", `threads is "many"`},
		{"MailReplica promoteAccounts accounts a@example.com threads 0", "threads is 0; want 1 to"},
		{"MailReplica promoteAccounts all accounts a@example.com", "both given (give one of them)"},
		{"MailReplica promoteAccounts accounts a@example.com acceptLoss maybe", `acceptLoss is "maybe"`},
		{"MailReplica pauseReplicas", "no account is selected"},
		{"MailReplica restartReplicas accounts a@example.com", "has no replica"},
		{"MailReplica getAccountStatus replicaStatus broken", "available or unavailable"},
		{"MailReplica monitor 12", "not the id of an operation"},
		{"MailReplica monitor 00000000-0000-4000-8000-000000000000", "no operation"},
		{"MailReplica test nothing.invalid:x", "no port"},
		{"MailReplica test 127.0.0.1:1 authentication PLAIN", "MECHANISM:user:password"},
		{"MailReplica doStopService printer", "no service"},
		{"prov createAccount a@example.com secret", "there is an account a@example.com already"},
		{"prov createAccount team@example.com secret", "distribution list"},
		{"prov createAccount c@example.com secret mailHost mbox9.example.com", "mbox9"},
		{"prov createAccount c@example.com -", "no password"},
		{"prov modifyAccount a@example.com mailHost mbox2.example.com", "promoteAccounts"},
		{"prov modifyAccount a@example.com status asleep", "asleep"},
		{"prov modifyAccount a@example.com isGlobalAdmin perhaps", "true or false"},
		{"prov deleteServer mbox1.example.com", "1 account"},
		{"config set local brokers x", `scope "local"`},
		{"config set global colour red", "no global setting"},
		{"config set global brokers 127.0.0.1:1", "nothing was changed"},
		{"core getNotification id 7", "not the id of a notification"},
		{"--host mbox9.example.com prov getAllServers", "no such endpoint"},
	} {
		t.Run(test.line, func(t *testing.T) {
			one := *c
			one.t = t
			one.fails(test.line, test.want)
		})
	}
	c.Mailstores[0].SetLogAway(true)
	c.fails(set+"accounts a@example.com", "do not answer")
	c.Mailstores[0].SetLogAway(false)
	c.UseFolderVolume(t, 1, admintest.OwnVolume)
	c.fails(set+"accounts a@example.com", "not centralised")
}

func TestSyntaxErrorsShowTheHelp(t *testing.T) {
	c := start(t, 1)
	r := c.run("MailReplica setAccountDestination mbox2.example.com")
	if r.code != exitFailed || r.out != "" || !strings.HasPrefix(r.errors, "carbonio: <priority> is missing\n\nusage: carbonio MailReplica setAccountDestination") {
		t.Errorf("got %+v", r)
	}
	for _, line := range []string{"--help", "MailReplica setAccountDestination --help"} {
		if r := c.run(line); r.code != exitSuccessful || r.errors != "" || !strings.HasPrefix(r.out, "usage: carbonio") {
			t.Errorf("%s: got %+v", line, r)
		}
	}
}

// A value that is empty is a variable of a script that was never set. It must not mean "any".
func TestEmptyValuesAreRefused(t *testing.T) {
	c := start(t, 1)
	for _, line := range [][]string{
		{"MailReplica", "promoteAccounts", "source_mail_host", "", "all"},
		{"MailReplica", "promoteAccounts", "accounts", "a@example.com", "destination", " "},
		{"MailReplica", "pauseReplicas", "accounts", ""},
		{"MailReplica", "getAccountStatus", "mailHost", ""},
		{"prov", "createAccount", "a@example.com", "secret", "mailHost", ""},
		{"core", "getNotification", "id", ""},
	} {
		r := c.runWith(t.Context(), "", line...)
		if r.code != exitFailed || r.out != "" || !strings.Contains(r.errors, "is empty; leave ") {
			t.Errorf("%q: got %+v", line, r)
		}
	}
}

// A program finds the error where it looks for the answer.
func TestErrorsAsJSON(t *testing.T) {
	c := start(t, 1)
	for _, test := range []struct{ line, kind, message string }{
		{"--json prov getAccount x@example.com", "not found", "there is no account x@example.com"},
		{"--json prov getAccount", "invalid argument", "<name> is missing"},
		{"--json --host nowhere prov getAllServers", "invalid argument", "--host nowhere: the configuration has no such endpoint"},
		{"prov modifyAccount x@example.com mailHost h --json", "invalid argument", "mailHost cannot be changed here"},
	} {
		r := c.run(test.line)
		var answer struct {
			Error struct{ Kind, Message, Hint string }
		}
		if err := json.Unmarshal([]byte(r.out), &answer); err != nil {
			t.Errorf("%s: got %q: %v", test.line, r.out, err)
		}
		got := answer.Error
		if r.code != exitFailed || got.Kind != test.kind || got.Message != test.message || got.Hint == "" || !strings.Contains(r.errors, test.message) {
			t.Errorf("%s: got %+v, %+v", test.line, r, got)
		}
	}
}

func TestPasswordFromStandardInput(t *testing.T) {
	c := start(t, 1)
	r := c.runWith(t.Context(), "a good password\nmore", "prov", "createAccount", "a@example.com", "-")
	if r.code != exitSuccessful {
		t.Fatalf("got %+v", r)
	}
	if r := c.runWith(t.Context(), "another", "prov", "modifyAccount", "a@example.com", "password", "-"); r.code != exitSuccessful {
		t.Errorf("got %+v", r)
	}
}

// The exit code tells how the operation ended.
func TestExitCodes(t *testing.T) {
	c := start(t, 2)
	a := c.Account(t, 1, "a@example.com")
	c.Account(t, 1, "bare@example.com")
	c.Replica(t, a.ID, 2, 10)
	r := c.run("MailReplica promoteAccounts source_mail_host mbox1.example.com")
	if r.code != exitFailed || !strings.Contains(r.out, "accountName bare@example.com\nreason bare@example.com has no available replica") {
		t.Errorf("got %+v, want exit 1 and the account that was refused", r)
	}
	release := c.HoldPromotions()
	defer release()
	for _, test := range []struct {
		command string
		code    int
	}{{"core doStopOperation", exitStopped}, {"core doRemoveOperation", exitRemoved}} {
		ended := make(chan result, 1)
		go func() { ended <- c.run("--json MailReplica promoteAccounts accounts a@example.com") }()
		id := c.unfinished("promoteAccounts")
		c.ok(test.command + " " + id)
		if r := <-ended; r.code != test.code || !json.Valid([]byte(r.out)) {
			t.Errorf("%s: got %+v, want exit %d", test.command, r, test.code)
		}
		if r := c.run("MailReplica monitor " + id); r.code != test.code {
			t.Errorf("monitor after %s: got %+v, want exit %d", test.command, r, test.code)
		}
	}
}

// unfinished waits for an operation of a type that runs, and gives its id.
func (c *cli) unfinished(kind string) string {
	c.t.Helper()
	id := ""
	admintest.Eventually(c.t, "the start of "+kind, func() bool {
		for block := range strings.SplitSeq(c.ok("core getAllOperations"), "\n\n") {
			if strings.Contains(block, "type "+kind) && strings.Contains(block, "state running") {
				id = uuids.FindString(block)
			}
		}
		return id != ""
	})
	return id
}

func TestInterruptLeavesTheOperationRunning(t *testing.T) {
	c := start(t, 2)
	a := c.Account(t, 1, "a@example.com")
	c.Replica(t, a.ID, 2, 10)
	release := c.HoldPromotions()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan result, 1)
	go func() {
		ended <- c.runWith(ctx, "", "--progress", "MailReplica", "promoteAccounts", "accounts", "a@example.com")
	}()
	id := c.unfinished("promoteAccounts")
	cancel()
	r := <-ended
	if r.code != exitInterrupted || r.out != "" || !strings.Contains(r.errors, "goes on; watch it with: carbonio MailReplica monitor "+id) {
		t.Errorf("got %+v, want exit 4 and how to go on watching", r)
	}
	release()
	if r := c.run("MailReplica monitor " + id + " operation_host mbox2.example.com"); r.code != exitSuccessful || !strings.Contains(r.errors, "promoteAccounts successful: 1 of 1") {
		t.Errorf("got %+v", r)
	}
}

// A mailstore that goes away while it is asked how far an operation is: another one is asked.
func TestWatchingOutlivesTheMailstoreAsked(t *testing.T) {
	c := start(t, 3)
	a := c.Account(t, 3, "a@example.com")
	c.Replica(t, a.ID, 1, 10)
	release := c.HoldPromotions()
	started := c.run("--host mbox3.example.com MailReplica pauseReplicas a@example.com")
	if started.code != exitSuccessful {
		t.Fatalf("got %+v", started)
	}
	go c.run("--host mbox2.example.com MailReplica promoteAccounts accounts a@example.com acceptLoss true")
	id := c.unfinished("promoteAccounts")
	ended := make(chan result, 1)
	go func() { ended <- c.run("MailReplica monitor " + id) }()
	c.Mailstores[0].Kill()
	release()
	if r := <-ended; r.code != exitSuccessful {
		t.Errorf("got %+v", r)
	}
}
