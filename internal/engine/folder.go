// Package engine owns where the real engines lie that the tests, the demo and the development cluster start: Apache Kafka,
// MariaDB and an S3 server, and for one test nginx. Its subpackages start and stop one each, as processes of their own on free loopback ports.
//
// It must not know Mailreplica: a mailstore meets these engines only over their own protocols.
package engine

import (
	"os"
	"path/filepath"

	"mailreplica/internal/fault"
)

// FolderVariable names another folder than the user's cache folder for what scripts/engines installs.
const FolderVariable = "MAILREPLICA_ENGINES"

// Folder is where scripts/engines installs what the distribution does not have.
func Folder() (string, error) {
	if folder := os.Getenv(FolderVariable); folder != "" {
		return folder, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "there is no folder for engines").
			WithHint("set %s to a folder that scripts/engines may fill", FolderVariable)
	}
	return filepath.Join(cache, "mailreplica", "engines"), nil
}

// Find is the path of something in the folder, and an error with the way to mend it if it is not there.
func Find(name string) (string, error) {
	folder, err := Folder()
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, name)
	if _, err := os.Stat(path); err != nil {
		return "", fault.Wrap(fault.Invalid, err, "%s is not installed", name).WithHint("run scripts/engines")
	}
	return path, nil
}
