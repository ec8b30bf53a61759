package mariadb

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"mailreplica/internal/engine"
	"mailreplica/internal/fault"
)

// copyTemplate makes a data directory. Making one takes MariaDB seconds, so one of each version is kept where the engines
// lie, and copied.
func copyTemplate(ctx context.Context, data string) error {
	template, err := template(ctx)
	if err != nil {
		return err
	}
	part := data + ".part" // so that it is there whole or not at all
	err = os.RemoveAll(part)
	if err == nil {
		err = os.CopyFS(part, os.DirFS(template))
	}
	if err == nil {
		err = restrict(part)
	}
	if err == nil {
		err = os.Rename(part, data)
	}
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the data directory of MariaDB cannot be made")
	}
	return nil
}

// restrict takes the rights away that CopyFS adds for others.
func restrict(folder string) error {
	return filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			err = os.Chmod(path, 0o600)
		}
		return err
	})
}

func template(ctx context.Context) (string, error) {
	server, err := find("mariadbd")
	if err != nil {
		return "", err
	}
	version, err := exec.CommandContext(ctx, server, "--no-defaults", "--version").Output()
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "MariaDB does not say its version")
	}
	folder, err := engine.Folder()
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "mariadb-data-"+versionOf(string(version)))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, makeTemplate(ctx, folder, path)
}

// versionOf is 10.11.6 of "mariadbd  Ver 10.11.6-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)".
func versionOf(line string) string {
	_, line, _ = strings.Cut(line, "Ver ")
	end := strings.IndexFunc(line, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	return line[:max(end, 0)]
}

// makeTemplate makes the template beside its place and moves it there, so that it is there whole or not at all, however
// many make it at once.
func makeTemplate(ctx context.Context, folder, path string) error {
	install, err := find("mariadb-install-db")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fault.Wrap(fault.Invalid, err, "the folder of the engines cannot be made")
	}
	part, err := os.MkdirTemp(folder, "mariadb-data-part-")
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the folder of the engines cannot be written")
	}
	defer os.RemoveAll(part)
	data := filepath.Join(part, "data")
	cmd := exec.CommandContext(ctx, install, "--no-defaults", "--datadir="+data, "--skip-test-db",
		"--auth-root-authentication-method=normal", "--innodb-log-file-size=48M")
	if os.Getuid() == 0 {
		cmd.Args = append(cmd.Args, "--user=root")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fault.Wrap(fault.Internal, err, "mariadb-install-db failed:\n%s", lastOf(out))
	}
	if err := os.Rename(data, path); err != nil {
		if _, there := os.Stat(path); there == nil { // another was quicker
			return nil
		}
		return fault.Wrap(fault.Internal, err, "the data directory of MariaDB cannot be kept")
	}
	return nil
}

// tailBytes is how much of what a program said stands in an error.
const tailBytes = 4 << 10

func lastOf(out []byte) []byte {
	if len(out) > tailBytes {
		out = out[len(out)-tailBytes:]
	}
	return out
}
