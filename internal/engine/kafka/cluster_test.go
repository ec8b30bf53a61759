package kafka_test

import (
	"testing"
	"time"

	"mailreplica/internal/engine/kafka"
)

func TestLife(t *testing.T) {
	start := time.Now()
	c, err := kafka.Start(t.Context(), kafka.Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %v", time.Since(start))
	t.Cleanup(func() { _ = c.Close() })
}
