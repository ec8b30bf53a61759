package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"mailreplica/internal/admin"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s\n(go test ./cmd/carbonio -update, if it is meant)", path, got, want)
	}
}

func TestHelp(t *testing.T) {
	var all strings.Builder
	all.WriteString(helpAll())
	for _, c := range commands() {
		all.WriteString("\n----\n" + helpCommand(c))
		for _, e := range c.examples {
			words := strings.Fields(strings.ReplaceAll(strings.Split(e, " < ")[0], "'a good password'", "secret"))
			if in, err := parse(words); err != nil || in.command.name != c.name {
				t.Errorf("the example %q of %s is not understood: %v", e, c.name, err)
			}
		}
	}
	golden(t, "help.txt", all.String())
	for line := range strings.SplitSeq(all.String(), "\n") {
		if len(line) > 160 {
			t.Errorf("a line of %d bytes: %s", len(line), line)
		}
	}
}

// statuses are two accounts: one whose mailstores answer but for one, and one whose home does not.
func statuses() records {
	mailbox, sequence, item, yes := int64(4), uint64(120), uint64(33), true
	known := &admin.Details{Condition: "complete", Mode: "log", Epoch: 2, Digest: "d164ac02", Messages: 9, Bytes: 4711}
	alice, bob := "0a0a0a0a-0000-4000-8000-000000000001", "0a0a0a0a-0000-4000-8000-000000000002"
	return records{
		statusRecord(admin.AccountStatus{AccountID: alice, AccountName: "alice@example.com", AccountMailHost: "mbox1.example.com",
			MailboxID: &mailbox, Sequence: &sequence, ItemID: &item, Details: known, Replicas: []admin.ReplicaStatus{
				{AccountID: alice, ItemID: &item, Sequence: &sequence, MailboxID: &mailbox, Destination: "mbox2.example.com",
					Available: true, Priority: 10, CanConnectToKafka: &yes, State: "available", Details: known},
				{AccountID: alice, Destination: "mbox3.example.com", Priority: 20, State: "available"},
			}}),
		statusRecord(admin.AccountStatus{AccountID: bob, AccountName: "bob@example.com", AccountMailHost: "mbox3.example.com", Paused: true}),
	}
}

func TestPrint(t *testing.T) {
	for _, test := range []struct {
		name  string
		width int
		json  bool
	}{{name: "status.lines.txt"}, {name: "status.wide.txt", width: 200}, {name: "status.narrow.txt", width: 80}, {name: "status.json", json: true}} {
		var out bytes.Buffer
		s := &session{environment: environment{stdout: &out, terminalWidth: test.width}, invocation: &invocation{flags: flags{json: test.json}}}
		if err := s.print(statuses()); err != nil {
			t.Fatal(err)
		}
		golden(t, test.name, out.String())
		for line := range strings.SplitSeq(out.String(), "\n") {
			if test.width > 0 && len([]rune(line)) > test.width {
				t.Errorf("%s: a line of %d characters", test.name, len([]rune(line)))
			}
		}
	}
}

func TestPrintNothing(t *testing.T) {
	for _, test := range []struct {
		width int
		json  bool
		want  string
	}{{want: ""}, {width: 80, want: "(none)\n"}, {json: true, want: `{"response":{"values":[]}}` + "\n"}} {
		var out bytes.Buffer
		s := &session{environment: environment{stdout: &out, terminalWidth: test.width}, invocation: &invocation{flags: flags{json: test.json}}}
		if err := s.print(nil); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

// Names, ids and numbers are there to be compared and copied: however narrow the terminal, they are shown whole or, if they
// are spare, not at all. Prose is broken into lines.
func TestTablesCutNoValues(t *testing.T) {
	id, name, reason := "0a0a0a0a-0000-4000-8000-000000000001", "somebody.with.a.long.name@department.example.com", strings.Repeat("one two three ", 9)
	one := record{{name: "operationId", value: id}, {name: "accountName", value: name, spare: 1},
		{name: "reason", value: reason, text: true}, {name: "canConnectToKafka", value: true}}
	for width := terminalWidthMin; width <= 200; width += 5 {
		var out bytes.Buffer
		writeTables(&out, records{one, one}, width)
		text := out.String()
		for _, whole := range []string{id, name} {
			if n := strings.Count(text, whole); n != 2 && !strings.Contains(text, "left out for want of room, but not by --json: accountName)") {
				t.Errorf("width %d: %s is there %d times in\n%s", width, whole, n, text)
			}
		}
		if strings.Count(text, "three") != 18 {
			t.Errorf("width %d: the prose is cut in\n%s", width, text)
		}
		for line := range strings.SplitSeq(text, "\n") {
			if isBlock := strings.HasPrefix(text, "operationId        "+id); !isBlock && utf8.RuneCountInString(line) > width && !strings.HasPrefix(line, "(") {
				t.Errorf("width %d: a line of %d characters: %s", width, utf8.RuneCountInString(line), line)
			}
		}
	}
}

// What others wrote moves no cursor and begins no line.
func TestHostileText(t *testing.T) {
	one := record{{name: "subject", value: "\x1b[2Jgone\r\nexit 0\u202e\xff"}, {name: "date", value: time.Unix(0, 0)}}
	for _, width := range []int{0, 80} {
		var out bytes.Buffer
		s := &session{environment: environment{stdout: &out, terminalWidth: width}, invocation: &invocation{}}
		if err := s.print(records{one}); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); strings.ContainsAny(got, "\x1b\r\u202e") || !utf8.ValidString(got) || strings.Count(got, "\n") != 2 {
			t.Errorf("width %d: got %q", width, got)
		}
	}
}

func TestPrintOneOnATerminal(t *testing.T) {
	var out bytes.Buffer
	s := &session{environment: environment{stdout: &out, terminalWidth: 80}, invocation: &invocation{}}
	err := s.printOne(record{{name: "id", value: "1"}, {name: "text", value: "two\nlines"}, {name: "hidden", value: 1, more: true},
		{name: "failures", value: records{{{name: "accountName", value: "a@example.com"}, {name: "reason", value: "why"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "one.txt", out.String())
}
