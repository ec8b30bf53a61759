package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"mailreplica/internal/fault"
)

// shown gives what a command line was understood as.
func shown(in *invocation) string {
	if in.help != "" {
		return "help: " + strings.SplitN(in.help, "\n", 2)[0]
	}
	text := in.command.module + " " + in.command.name
	for _, name := range slices.Sorted(maps.Keys(in.values)) {
		text += fmt.Sprintf(" %s=%q", name, in.values[name])
	}
	if in.all {
		text += " all"
	}
	for _, f := range []struct {
		name string
		on   bool
	}{{"json", in.json}, {"progress", in.progress}, {"sync", in.sync}, {"host=" + in.host, in.host != ""}} {
		if f.on {
			text += " --" + f.name
		}
	}
	return text
}

func TestParse(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"--json --host mbox2 mailreplica GETACCOUNTSTATUS", "MailReplica getAccountStatus --json --host=mbox2"},
		{"--host=mbox2 core getalloperations", "core getAllOperations --host=mbox2"},
		{"MailReplica setAccountDestination d 10 accounts a@b,c@d", `MailReplica setAccountDestination accounts="a@b,c@d" destination="d" priority="10"`},
		{"MailReplica setAccountDestination d 10 ACCOUNTS a@b INPUT_FILE f", `MailReplica setAccountDestination accounts="a@b" destination="d" input_file="f" priority="10"`},
		{"MailReplica setAccountDestination destination d 10 all", `MailReplica setAccountDestination destination="d" priority="10" all`},
		{"MailReplica setAccountDestination accounts a@b destination d priority 10", `MailReplica setAccountDestination accounts="a@b" destination="d" priority="10"`},
		{"MailReplica setAccountDestination d -1 a@b,c@d", `MailReplica setAccountDestination accounts="a@b,c@d" destination="d" priority="-1"`},
		{"MailReplica setAccountDestination d 10 accounts all", `MailReplica setAccountDestination destination="d" priority="10" all`},
		{"MailReplica pauseReplicas a@b", `MailReplica pauseReplicas accounts="a@b"`},
		{"MailReplica pauseReplicas 00000000-0000-4000-8000-000000000000", `MailReplica pauseReplicas accounts="00000000-0000-4000-8000-000000000000"`},
		{"MailReplica pauseReplicas a*@b", `MailReplica pauseReplicas accounts="a*@b"`},
		{"MailReplica promoteAccounts sourceMailHost h threads 4 acceptloss true --sync", `MailReplica promoteAccounts acceptLoss="true" source_mail_host="h" threads="4" --sync`},
		{"prov createAccount a@b mailHost", `prov createAccount name="a@b" password="mailHost"`},
		{"prov createAccount a@b --json p mailHost h", `prov createAccount mailHost="h" name="a@b" password="p" --json`},
		{"prov createAccount a@b --host m --secret-", `prov createAccount name="a@b" password="--secret-" --host=m`},
		{"prov createAccount a@b -h", "help: usage: carbonio prov createAccount <name> <password> [mailHost H]"},
		{"prov -h", "help: prov"},
		{"config get global", `config get scope="global"`},
		{"core DOCREATEBUCKET s3 b k s l r", `core doCreateBucket S3 access_key="k" bucket_name="b" label="l" region="r" secret="s"`},
		{"core doCreateBucket MinIO b k s u l PathStyle true", `core doCreateBucket MinIO access_key="k" bucket_name="b" label="l" path_style="true" secret="s" url="u"`},
		{"powerstore doCreateVolume s3 v primary b prefix p", `powerstore doCreateVolume S3 bucket_configuration_id="b" volume_name="v" volume_prefix="p" volume_type="primary"`},
		{"powerstore doUpdateVolume fileblob v volumetype primary", `powerstore doUpdateVolume volume_name="v" volume_type="primary"`},
		{"powerstore doUpdateVolume v", `powerstore doUpdateVolume volume_name="v"`},
		{"core doCreateBucket --help", "help: core"},
		{"core doCreateBucket help", "help: core"},
		{"core doCreateBucket s3 --help", "help: usage: carbonio core doCreateBucket S3 <bucket_name> <access_key> <secret> <label> <region> [url U]"},
		{"help", "help: usage: carbonio [global flags] <module> <command> <argument>… [<name> <value>]…"},
		{"--help", "help: usage: carbonio [global flags] <module> <command> <argument>… [<name> <value>]…"},
		{"--version", "help: carbonio dev"},
		{"version", "help: carbonio dev"},
		{"-h", "help: usage: carbonio [global flags] <module> <command> <argument>… [<name> <value>]…"},
		{"MailReplica help", "help: MailReplica"},
		{"help MailReplica", "help: MailReplica"},
		{"MailReplica --help", "help: MailReplica"},
		{"prov createaccount --help", "help: usage: carbonio prov createAccount <name> <password> [mailHost H]"},
		{"prov createAccount a@b --help secret", "help: usage: carbonio prov createAccount <name> <password> [mailHost H]"},
		{"help prov createAccount", "help: usage: carbonio prov createAccount <name> <password> [mailHost H]"},
		{"prov createAccount help", "help: usage: carbonio prov createAccount <name> <password> [mailHost H]"},
	} {
		in, err := parse(strings.Fields(test.line))
		if err != nil {
			t.Errorf("%s: %v", test.line, err)
			continue
		}
		if got := shown(in); got != test.want {
			t.Errorf("%s\ngot  %s\nwant %s", test.line, got, test.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct{ line, problem, help string }{
		{"", "module and the command are missing", "usage: carbonio [global"},
		{"--xml prov getAllServers", `no global flag "--xml"`, "global flags, before the module"},
		{"--json=yes prov getAllServers", `no global flag "--json=yes"`, "global flags, before the module"},
		{"--host", "--host needs", "global flags, before the module"},
		{"--host= prov getAllServers", "--host needs", "global flags, before the module"},
		{"mailbox x", `no module "mailbox"`, "modules: config, prov, MailReplica, core, powerstore"},
		{"prov createAccount a@b --sync", "<password> is missing", "usage: carbonio prov createAccount"},
		{"prov", "command is missing", "  createAccount "},
		{"prov makeCoffee", `prov has no command "makeCoffee"`, "  createAccount "},
		{"prov createAccount a@b", "<password> is missing", "usage: carbonio prov createAccount"},
		{"prov createAccount a@b p mailHost", "mailHost needs a value", "usage: carbonio prov createAccount"},
		{"prov createAccount a@b p colour red", `does not take "colour"`, "usage: carbonio prov createAccount"},
		{"prov createAccount a@b p mailHost x MAILHOST y", "mailHost is given twice", "usage: carbonio prov createAccount"},
		{"prov getAllServers --verbose", `no global flag "--verbose"`, "usage: carbonio prov getAllServers"},
		{"prov getAllServers all", `does not take "all"`, "usage: carbonio prov getAllServers"},
		{"core doCreateBucket", "doCreateBucket of what? There is S3, MinIO", "  doCreateBucket MinIO "},
		{"core doCreateBucket Azure x", `doCreateBucket knows no "Azure"; there is S3, MinIO`, "  doCreateBucket S3 "},
		{"core doCreateBucket S3", "<bucket_name> is missing", "usage: carbonio core doCreateBucket S3"},
		{"powerstore doCreateVolume S3 v primary b prefix p volume_prefix q", "volume_prefix is given twice", "usage: carbonio powerstore"},
		{"powerstore doUpdateVolume S3", "<volume_name> is missing", "usage: carbonio powerstore doUpdateVolume"},
		{"MailReplica setAccountDestination d", "<priority> is missing", "usage: carbonio MailReplica setAccountDestination"},
		{"MailReplica setAccountDestination d 10 alice", `does not take "alice"`, "usage: carbonio MailReplica setAccountDestination"},
		{"MailReplica setAccountDestination d 10 destination e", "destination is given twice", "usage: carbonio MailReplica setAccountDestination"},
		{"config set global brokers", "<value> is missing", "usage: carbonio config set"},
	} {
		_, err := parse(strings.Fields(test.line))
		var usage *usageError
		if !errors.As(err, &usage) || !strings.Contains(usage.problem, test.problem) || !strings.Contains(usage.help, test.help) {
			t.Errorf("%s: got %v, want %q and the help with %q", test.line, err, test.problem, test.help)
		}
	}
}

// Whatever is typed is understood or refused with a help, and nothing that was typed is dropped silently.
func FuzzParse(f *testing.F) {
	for _, line := range []string{
		"--json --host mbox2 mailreplica GETACCOUNTSTATUS", "MailReplica setAccountDestination d 10 accounts a@b,c@d all",
		"prov modifyAccount a@b mailHost x", "config set global brokers x", "help prov", "--help", "prov createAccount a@b --json --sync",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		in, err := parse(strings.Split(line, " "))
		var usage *usageError
		switch {
		case errors.As(err, &usage):
			if usage.problem == "" || usage.help == "" {
				t.Errorf("%q is refused without a word", line)
			}
		case fault.Is(err, fault.Invalid): // understood, but not what the command is for
		case err != nil:
			t.Errorf("%q: %v is no usage error", line, err)
		case in.help == "":
			for _, p := range in.command.positional {
				if !p.optional && !in.has(p.name) {
					t.Errorf("%q: %s is missing", line, p.name)
				}
			}
		}
	})
}
