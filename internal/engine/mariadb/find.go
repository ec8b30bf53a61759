package mariadb

import (
	"os/exec"
	"path/filepath"

	"mailreplica/internal/fault"
)

// find is the path of one of MariaDB's programs. Debian keeps the server where users do not look.
func find(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, folder := range []string{"/usr/sbin", "/usr/local/sbin", "/usr/libexec"} {
		if path := filepath.Join(folder, program); exec.Command(path, "--version").Run() == nil {
			return path, nil
		}
	}
	return "", fault.New(fault.Invalid, "%s is not installed", program).WithHint("run scripts/engines mariadb")
}
