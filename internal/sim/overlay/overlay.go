// Package overlay builds programs from sources that are altered for one build: the compiler is given replacements, and nothing of
// them is ever in the code that is delivered.
package overlay

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Edit is one replacement in a source file. The old text stands there exactly once. A file of the Go distribution begins with
// GOROOT/, any other lies in this module.
type Edit struct{ File, Old, New string }

const distribution = "GOROOT/"

// Root is the folder of the module that the current folder is in.
func Root() (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	return strings.TrimSpace(string(root)), err
}

// Apply gives the texts of all files that edits concern, by path.
func Apply(root string, edits []Edit) (map[string]string, error) {
	texts := map[string]string{}
	for _, e := range edits {
		path := filepath.Join(root, e.File)
		if file, found := strings.CutPrefix(e.File, distribution); found {
			goroot, err := goroot()
			if err != nil {
				return nil, err
			}
			path = filepath.Join(goroot, file)
		}
		text, known := texts[path]
		if !known {
			content, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			text = string(content)
		}
		if n := strings.Count(text, e.Old); n != 1 {
			return nil, fmt.Errorf("%s holds %q %d times, not once: bring the edit up to date", e.File, e.Old, n)
		}
		texts[path] = strings.Replace(text, e.Old, e.New, 1)
	}
	return texts, nil
}

// goroot is where the go command in use has its sources.
func goroot() (string, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	return strings.TrimSpace(string(out)), err
}

// Test compiles the tests of a package over edited sources. folder is for its files.
func Test(pkg, folder string, edits []Edit) (binary string, err error) {
	binary = filepath.Join(folder, "altered.test")
	return binary, Build(pkg, binary, edits)
}

// Build compiles the tests of a package over edited sources into a program.
func Build(pkg, binary string, edits []Edit) error {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	root, err := Root()
	if err != nil {
		return err
	}
	texts, err := Apply(root, edits)
	if err != nil {
		return err
	}
	kept := filepath.Join(os.TempDir(), "mailreplica-overlay")
	if err := os.MkdirAll(kept, 0o700); err != nil {
		return err
	}
	replace := struct{ Replace map[string]string }{map[string]string{}}
	for path, text := range texts {
		// The compiler's cache knows a file by its name too.
		patched := filepath.Join(kept, fmt.Sprintf("%x.go", sha256.Sum256([]byte(text))))
		if err := os.WriteFile(patched, []byte(text), 0o600); err != nil {
			return err
		}
		replace.Replace[path] = patched
	}
	list, err := json.Marshal(replace)
	if err != nil {
		return err
	}
	where := binary + ".overlay.json"
	defer os.Remove(where)
	if err := os.WriteFile(where, list, 0o600); err != nil {
		return err
	}
	compile := exec.Command("go", "test", "-c", "-overlay", where, "-o", binary, pkg)
	compile.Dir = root
	if text, err := compile.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	return nil
}
