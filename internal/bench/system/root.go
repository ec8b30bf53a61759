package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"mailreplica/internal/engine"
)

// FolderVariable names another folder than the user's cache folder for what scripts/bench installs.
const FolderVariable = "MAILREPLICA_BENCH"

// suite is the Debian release whose packages are in the roots.
const suite = "bookworm"

// Folder is where scripts/bench installs the other mail servers. Systems run there, too: temporary folders of other places may be
// kept in memory, and all of them are to have the same disk.
func Folder() (string, error) {
	if folder := os.Getenv(FolderVariable); folder != "" {
		return folder, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("there is no folder for the other mail servers; name one with %s: %w", FolderVariable, err)
	}
	return filepath.Join(cache, "mailreplica", "bench"), nil
}

// root is a tree of Debian with a server in it.
type root string

func findRoot(name string) (root, error) {
	folder, err := Folder()
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, name+"-"+suite)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not installed (run scripts/bench %s): %w", name, name, err)
	}
	if os.Geteuid() != 0 {
		return "", fmt.Errorf("%s is run by root alone, for it is in a root of its own", name)
	}
	return root(path), nil
}

// enter has a shell put a folder in the root's /srv, and run a command there. All is in namespaces of the shell, so that mounts and
// processes, daemons too, end with it, and it with us. The shell stays: it is told of our death by a signal that the kernel no longer sends to
// who has changed its user, as servers do (prctl(2), PR_SET_PDEATHSIG).
const enter = `
mount --bind "$2" "$1/srv"
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/run"
root=$1
shift 2
chroot "$root" "$@"
exit
`

// start runs a program in the root, with a folder as its /srv, and its output in a file of it.
func (r root) start(folder, log string, command ...string) (*engine.Process, error) {
	args := append([]string{"--mount", "--pid", "--fork", "--kill-child", "--", "/bin/sh", "-ec", enter, "sh", string(r), folder}, command...)
	return engine.StartProcess(exec.Command("unshare", args...), filepath.Join(folder, log))
}

// run runs a script of a shell in the root until it ends.
func (r root) run(ctx context.Context, folder, script string) error {
	p, err := r.start(folder, "commands.log", "/bin/sh", "-ec", script)
	if err != nil {
		return err
	}
	return command(ctx, p)
}

// version is that of a package in the root.
func (r root) version(ctx context.Context, name string) (string, error) {
	query := exec.CommandContext(ctx, "chroot", string(r), "dpkg-query", "--show", "--showformat", "${Version}", name)
	out, err := query.Output()
	if err != nil {
		return "", fmt.Errorf("the version of %s: %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// write writes files under a folder, made where they lie.
func write(folder string, files map[string]string) error {
	var problems []error
	for name, text := range files {
		path := filepath.Join(folder, name)
		problems = append(problems, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
	}
	return errors.Join(problems...)
}
