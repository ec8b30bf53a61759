package e2e_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// bin is the folder of the programs under test, built once.
var bin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if bin = os.Getenv("E2E_BIN"); bin != "" {
		return m.Run()
	}
	if err := dependOnSources(filepath.Join("..", "..")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	folder, err := os.MkdirTemp("", "mailreplica-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	args := []string{"build", "-o", folder + string(filepath.Separator)}
	if os.Getenv("E2E_RACE") != "" {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "mailreplica/cmd/mailstored", "mailreplica/cmd/carbonio")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "the programs cannot be built: %v\n%s", err, out)
		return 1
	}
	bin = folder
	return m.Run()
}

// dependOnSources looks at every source file of the module. The go command notes what a test looks at, and takes a result from
// its cache only while all of that is unchanged; it does not know that the programs are built here.
func dependOnSources(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, ".sql") && entry.Name() != "go.sum" {
			return err
		}
		_, err = os.Stat(path)
		return err
	})
}

// setting is a number from the environment.
func setting(name string, instead int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return instead
}

func rounds() int             { return setting("E2E_ROUNDS", 2) }
func loadTime() time.Duration { return time.Duration(setting("E2E_LOAD_MS", 2500)) * time.Millisecond }

// eventually polls until check gives no problem, and fails the test with the last one after the time.
func eventually(t testing.TB, within time.Duration, check func() error) {
	t.Helper()
	const every = 50 * time.Millisecond
	end := time.Now().Add(within)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %s: %v", within, err)
		}
		time.Sleep(every)
	}
}

// program fails the test if a program of others is not installed: a test that does not run proves nothing.
func program(t testing.TB, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: install it (Debian: apt-get install %s)", name, debian)
	}
	return path
}
