package blobtest_test

import (
	"testing"

	"mailreplica/internal/blob/blobtest"
)

func TestMemory(t *testing.T) {
	blobtest.Run(t, func(testing.TB) blobtest.Place { return blobtest.NewMemory("memory").Place() })
}
