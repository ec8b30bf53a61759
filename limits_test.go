package mailreplica

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// folders of the packages that docs/limits.md names, where they are not internal/NAME.
var folders = map[string]string{
	"wire": "internal/imap/wire", "index": "internal/mailbox/index", "dir": "internal/blob/dir", "s3": "internal/blob/s3", "cache": "internal/blob/cache", "carbonio": "cmd/carbonio",
}

var limitName = regexp.MustCompile("`([a-z0-9]+)\\.([A-Za-z]+)`")

// TestLimitsOfTheDocument compares docs/limits.md with the constants of the code.
func TestLimitsOfTheDocument(t *testing.T) {
	text, err := os.ReadFile("docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]*types.Scope{}
	found := 0
	for number, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(line, " | ")
		if len(cells) != 4 || !strings.HasPrefix(line, "|") {
			continue
		}
		names := limitName.FindAllStringSubmatch(cells[1], -1)
		values := strings.Split(cells[2], ", ")
		if len(names) == 0 {
			continue // the head
		}
		if len(names) != len(values) {
			t.Errorf("line %d: %d names and %d values", number+1, len(names), len(values))
			continue
		}
		for i, name := range names {
			found++
			folder := folders[name[1]]
			if folder == "" {
				folder = "internal/" + name[1]
			}
			if packages[folder] == nil {
				packages[folder] = constants(t, folder)
			}
			limit, is := packages[folder].Lookup(name[2]).(*types.Const)
			if !is {
				t.Errorf("line %d: %s has no constant %s", number+1, folder, name[2])
				continue
			}
			want, err := number64(values[i])
			if err != nil {
				t.Errorf("line %d: %v", number+1, err)
			}
			if got, exact := constant.Int64Val(constant.ToInt(limit.Val())); !exact || got != want {
				t.Errorf("line %d: %s.%s is %v, not %s", number+1, name[1], name[2], limit.Val(), values[i])
			}
		}
	}
	if found < 100 {
		t.Errorf("%d limits were compared; the tables have more", found)
	}
}

// constants are those of a package. Of its imports only time is known: they are not needed for more.
func constants(t *testing.T, folder string) *types.Scope {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	var parsed []*ast.File
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
	}
	config := types.Config{Importer: onlyTime{}, Error: func(error) {}, IgnoreFuncBodies: true}
	p, _ := config.Check(folder, set, parsed, nil) // what it does not know does not matter
	return p.Scope()
}

type onlyTime struct{}

func (onlyTime) Import(path string) (*types.Package, error) {
	p := types.NewPackage(path, filepath.Base(path))
	if path == "time" {
		for name, d := range map[string]time.Duration{
			"Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute, "Hour": time.Hour,
		} {
			p.Scope().Insert(types.NewConst(token.NoPos, p, name, types.Typ[types.UntypedInt], constant.MakeInt64(int64(d))))
		}
		p.MarkComplete()
		return p, nil
	}
	return p, fmt.Errorf("%s is not known", path)
}

// number64 reads a value as the tables have it: a number with commas, and a unit.
func number64(text string) (int64, error) {
	digits, unit, _ := strings.Cut(strings.TrimSpace(text), " ")
	n, err := strconv.ParseInt(strings.ReplaceAll(digits, ",", ""), 10, 64)
	factor, known := map[string]int64{
		"": 1, "bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "PiB": 1 << 50,
		"s": int64(time.Second), "min": int64(time.Minute), "h": int64(time.Hour),
	}[unit]
	if err != nil || !known {
		return 0, fmt.Errorf("%q is no value", text)
	}
	return n * factor, nil
}
