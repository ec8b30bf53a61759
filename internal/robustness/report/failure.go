// Package report keeps what is needed to understand a failure, and shows how a cluster fared over time.
package report

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"mailreplica/internal/robustness/cluster"
	"mailreplica/internal/robustness/model"
)

// Failure is a scenario that went wrong.
type Failure struct {
	Scenario string
	Seed     uint64
	Engines  string
	Problems []string
}

// Again is the command that plays the scenario again.
func (f Failure) Again() string {
	pattern := fmt.Sprintf("TestScenarios/%s/^%s$", f.Engines, strings.ReplaceAll(f.Scenario, " ", "_"))
	return fmt.Sprintf("go test ./internal/robustness -run '%s' -engines %s -seed %d -all", pattern, f.Engines, f.Seed)
}

// Keep writes a folder: what is wrong, how to repeat it, everything that clients asked and were answered, and all logs and
// configurations.
func Keep(folder string, f Failure, c *cluster.Cluster, record *model.Record) (path string, err error) {
	path = filepath.Join(folder, fmt.Sprintf("%s-%s-%d", strings.ReplaceAll(f.Scenario, " ", "-"), f.Engines, f.Seed))
	if err := os.MkdirAll(path, 0o700); err != nil {
		return path, err
	}
	text := fmt.Sprintf("%s, on %s engines, seed %d\n\n%s\n\nto play it again:\n%s\n", f.Scenario, f.Engines, f.Seed, strings.Join(f.Problems, "\n"), f.Again())
	if err := os.WriteFile(filepath.Join(path, "problems.txt"), []byte(text), 0o600); err != nil {
		return path, err
	}
	history, err := os.Create(filepath.Join(path, "history.jsonl"))
	if err != nil {
		return path, err
	}
	defer history.Close()
	if err := record.Write(history); err != nil {
		return path, err
	}
	for _, pattern := range []string{"*.log", "*.yaml", "kafka/*/*.log", "maria-*/*.log", "s3/*.log"} {
		found, err := filepath.Glob(filepath.Join(c.Folder(), pattern))
		if err != nil {
			return path, err
		}
		for _, file := range found {
			name, err := filepath.Rel(c.Folder(), file)
			if err != nil {
				return path, err
			}
			if err := copyFile(filepath.Join(path, strings.ReplaceAll(name, string(filepath.Separator), "-")), file); err != nil {
				return path, err
			}
		}
	}
	return path, nil
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = io.Copy(out, in)
	return err
}
