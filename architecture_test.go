// Package mailreplica holds nothing but the checks of the project as a whole.
package mailreplica

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// layers say which package may import which: one of a layer may import those of the layers below it, and of its own where
// the layer says so. They follow the design: cmd, then what talks to the outside, then what makes the promise, then the
// engines, then the protocol and the domain.
var layers = []struct {
	name     string
	packages []string
	within   bool   // packages of the layer may import each other
	why      string // what goes wrong otherwise
}{
	{"commands", []string{"cmd/mailstored", "cmd/carbonio", "internal/demo", "internal/devcluster", "internal/procfs", "internal/subcommand", "internal/testreport", "internal/e2e", "deploy",
		"internal/scenario", "internal/robustness", "internal/robustness/cluster", "internal/robustness/failpoint",
		"internal/robustness/model", "internal/robustness/report", "internal/robustness/soak", "internal/robustness/traffic", "internal/robustness/validate",
		"internal/sim", "internal/sim/check", "internal/sim/disk", "internal/sim/network", "internal/sim/mutate", "internal/sim/overlay", "internal/sim/exact", "internal/sim/model",
		"internal/bench", "internal/bench/load", "internal/bench/imapload", "internal/bench/system", "internal/bench/report", "internal/bench/scale"}, true,
		"commands wire and run; nothing may depend on them"},
	{"real engines", []string{"internal/engine", "internal/engine/kafka", "internal/engine/mariadb", "internal/engine/s3"}, true,
		"what starts real engines is for tests, the demo and the development cluster; a mailstore meets engines over the network"},
	{"assembly", []string{"internal/node"}, true,
		"the assembly of a mailstore knows every part; a part that knew the assembly would know every other part"},
	{"frontends", []string{"internal/frontend", "internal/admin", "internal/imap", "internal/lmtp", "internal/imap/wire", "internal/imap/memory", "internal/listener", "internal/profile"}, true,
		"what talks to clients knows the mailstore, and never the event log or SQL"},
	{"operations", []string{"internal/promotion", "internal/replica", "internal/peer", "internal/operation", "internal/mailstore", "internal/reclaim", "internal/config", "internal/credential"}, true,
		"the promise is kept here, over the engines"},
	{"engines", []string{"internal/eventlog", "internal/eventlog/broker", "internal/metadata", "internal/directory", "internal/mariadb", "internal/sqlite", "internal/blob", "internal/blob/dir", "internal/blob/s3", "internal/blob/cache", "internal/message"}, false,
		"adapters never see each other: each can be replaced alone"},
	{"domain", []string{"internal/protocol", "internal/event", "internal/mailbox", "internal/mailbox/index", "internal/account", "internal/fault", "internal/complaint", "internal/pause", "internal/measure"}, true,
		"the rules and the domain are pure: the standard library and each other only, so that they can be proven alone"},
}

// exceptions are imports within a layer that stand for a package and its own parts.
var exceptions = map[string][]string{
	"internal/blob/dir":   {"internal/blob"},
	"internal/blob/s3":    {"internal/blob"},
	"internal/blob/cache": {"internal/blob"},
	"internal/metadata":   {"internal/mariadb", "internal/sqlite"},
	"internal/directory":  {"internal/mariadb"},
}

// forbidden are imports that the layers would allow and the design does not.
var forbidden = []struct{ from, to, why string }{
	{"internal/imap", "internal/eventlog", "protocol servers never see the event log"},
	{"internal/imap", "internal/metadata", "protocol servers never see SQL"},
	{"internal/imap", "internal/directory", "sessions are given accounts; how they are found is the frontend's business"},
	{"internal/lmtp", "internal/eventlog", "protocol servers never see the event log"},
	{"internal/lmtp", "internal/metadata", "protocol servers never see SQL"},
	{"internal/frontend", "internal/eventlog", "protocol servers never see the event log"},
	{"internal/frontend", "internal/metadata", "protocol servers never see SQL"},
	{"internal/mailstore", "internal/directory", "who commits is never decided by a copy of the directory (rule 6)"},
	{"internal/mailstore", "internal/replica", "data flows one way: replica drives the mailstore"},
	{"internal/imap/wire", "internal/mailbox", "the grammar knows no mailbox"},
	{"internal/listener", "internal/imap", "what serves both protocols knows neither"},
	{"internal/listener", "internal/lmtp", "what serves both protocols knows neither"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

const module = "mailreplica/"

func packagesOf(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Standard", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func layerOf(pkg string) int {
	for i, l := range layers {
		for _, p := range l.packages {
			if p == pkg {
				return i
			}
		}
	}
	return -1
}

// isTestHelper reports whether a package is for tests only: those may import what they test with.
func isTestHelper(pkg string) bool {
	return strings.HasSuffix(pkg, "test") || strings.HasSuffix(pkg, "/walk")
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range packagesOf(t) {
		from, own := strings.CutPrefix(p.ImportPath, module)
		if !own || isTestHelper(from) {
			continue
		}
		layer := layerOf(from)
		if layer < 0 {
			t.Errorf("%s stands in no layer: name its layer here", from)
			continue
		}
		for _, imported := range p.Imports {
			checkImport(t, from, layer, imported)
		}
	}
}

func checkImport(t *testing.T, from string, layer int, imported string) {
	t.Helper()
	to, own := strings.CutPrefix(imported, module)
	l := layers[layer]
	if !own {
		if l.name == "domain" && strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") {
			t.Errorf("%s imports %s: %s", from, imported, l.why)
		}
		return
	}
	target := layerOf(to)
	switch {
	case isTestHelper(to):
		t.Errorf("%s imports %s, which is for tests", from, to)
	case target < layer, target == layer && !l.within && !slices.Contains(exceptions[from], to):
		t.Errorf("%s (%s) imports %s: %s", from, l.name, to, l.why)
	}
	for _, f := range forbidden {
		if (from == f.from || strings.HasPrefix(from, f.from+"/")) && (to == f.to || strings.HasPrefix(to, f.to+"/")) {
			t.Errorf("%s imports %s: %s", from, to, f.why)
		}
	}
}
