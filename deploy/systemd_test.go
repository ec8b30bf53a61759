package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mailreplica/internal/config"
)

// program is where the units expect mailstored.
const program = "/usr/local/bin/mailstored"

// directives are those of systemd.unit(5), systemd.service(5), systemd.exec(5) and systemd.resource-control(5) that a unit here may
// have. systemd ignores one that it does not know, and with it what it was to protect from.
var directives = map[string][]string{
	"Unit": {"After", "Description", "RequiresMountsFor", "StartLimitIntervalSec", "Wants"},
	"Service": {"AmbientCapabilities", "CapabilityBoundingSet", "ExecStart", "Group", "LimitNOFILE", "LockPersonality", "MemoryDenyWriteExecute",
		"NoNewPrivileges", "PrivateDevices", "PrivateTmp", "PrivateUsers", "ProtectClock", "ProtectControlGroups", "ProtectHome", "ProtectHostname",
		"ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "ProtectProc", "ProtectSystem", "ReadWritePaths", "RemoveIPC",
		"Restart", "RestartPreventExitStatus", "RestartSec", "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime",
		"RestrictSUIDSGID", "StateDirectory", "StateDirectoryMode", "SystemCallArchitectures", "SystemCallErrorNumber", "SystemCallFilter",
		"TimeoutStartSec", "TimeoutStopSec", "Type", "UMask", "User", "WorkingDirectory"},
	"Install": {"WantedBy"},
}

// unit reads a unit: its directives, with their values by name.
func unit(t *testing.T, file string) map[string][]string {
	t.Helper()
	section, all := "", map[string][]string{}
	for line := range strings.Lines(read(t, "systemd", file)) {
		line = strings.TrimSpace(line)
		name, value, found := strings.Cut(line, "=")
		switch {
		case line == "", line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		case !found, !slices.Contains(directives[section], name):
			t.Errorf("%s: %q is no directive of [%s]", file, line, section)
		default:
			all[name] = append(all[name], value)
		}
	}
	return all
}

// TestUnits holds the units against the program that they start and the configurations that they start it with.
func TestUnits(t *testing.T) {
	mailstored := filepath.Join(t.TempDir(), "mailstored")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", mailstored, "../cmd/mailstored").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	unit(t, "volume.conf")
	for _, file := range []string{"mailstored@.service", "mailstored-broker.service"} {
		u := unit(t, file)
		command := strings.Fields(u["ExecStart"][0])
		if command[0] != program || u["Type"][0] != "notify" {
			t.Errorf("%s starts %s, of type %s", file, command[0], u["Type"][0])
		}
		help, err := exec.CommandContext(t.Context(), mailstored, command[1], "--help").CombinedOutput()
		if err != nil {
			t.Errorf("%s: mailstored %s --help: %v", file, command[1], err)
		}
		for _, argument := range command[2:] {
			if strings.HasPrefix(argument, "--") && !strings.Contains(string(help), "  "+argument+" ") {
				t.Errorf("%s: mailstored %s has no %s", file, command[1], argument)
			}
		}
		if user := "u " + u["User"][0] + " "; !strings.Contains(read(t, "systemd/sysusers.conf"), user) {
			t.Errorf("%s: nobody makes the user %s", file, u["User"][0])
		}
	}
}

// TestUnitOfAMailstore: a mailstore with a configuration of these examples is let do what it is configured to.
func TestUnitOfAMailstore(t *testing.T) {
	u := unit(t, "mailstored@.service")
	files, err := strconv.Atoi(u["LimitNOFILE"][0])
	c := config.Default()
	if want := 2*c.IMAP.SessionsMax + 3*c.LMTP.SessionsMax; err != nil || files < want {
		t.Errorf("LimitNOFILE is %d, %v: want %d for the sessions that there may be", files, err, want)
	}
	secrets := read(t, "systemd/tmpfiles.conf")
	examples, err := filepath.Glob("mailstore/*.yaml")
	if err != nil || len(examples) == 0 {
		t.Fatal(examples, err)
	}
	for _, example := range examples {
		c, err := config.Load(example)
		if err != nil {
			t.Fatal(err)
		}
		if place := "/etc/mailreplica/" + filepath.Base(example); !strings.Contains(read(t, example), place) ||
			strings.ReplaceAll(u["ExecStart"][0], "%i", strings.TrimSuffix(filepath.Base(example), ".yaml")) != program+" serve --config "+place {
			t.Errorf("%s: is not what %s starts", example, u["ExecStart"][0])
		}
		if c.Data != "/var/lib/"+u["StateDirectory"][0] {
			t.Errorf("%s: its data in %s is not in the unit's folder", example, c.Data)
		}
		for _, secret := range []string{
			c.Tokens.Admin, c.Tokens.Peer, c.Tokens.Metrics, c.Tokens.Nginx, c.TLS.Key,
			c.MetadataMariaDB.PasswordFile, c.DirectoryMariaDB.PasswordFile, c.Log.PasswordFile,
		} {
			if secret != "" && !strings.Contains(secrets, "z "+filepath.Dir(secret)+"/*"+filepath.Ext(secret)+" 0600 "+u["User"][0]) {
				t.Errorf("%s: nobody makes %s the user's alone", example, secret)
			}
		}
	}
}

// TestUnitsForSystemd has systemd itself read the units, where it is installed, with a program in the place of ours.
func TestUnitsForSystemd(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		return
	}
	folder := t.TempDir()
	var units []string
	for from, to := range map[string]string{"mailstored@.service": "mailstored@mbox1.service", "mailstored-broker.service": "mailstored-broker.service"} {
		path := filepath.Join(folder, to)
		text := strings.ReplaceAll(read(t, "systemd", from), program, "/bin/true")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		units = append(units, path)
	}
	out, _ := exec.CommandContext(t.Context(), analyze, append([]string{"verify"}, units...)...).CombinedOutput()
	for line := range strings.Lines(string(out)) { // other units of this machine may have their faults
		if strings.Contains(line, "mailstored") {
			t.Error(strings.TrimSpace(line))
		}
	}
}
