package operation_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"mailreplica/internal/directory"
	"mailreplica/internal/operation"
)

const childEnv = "MAILREPLICA_OPERATION_TEST_CHILD"

// TestMain is, in a process that a test started, a mailstore that works on an operation until it is killed.
func TestMain(m *testing.M) {
	path := os.Getenv(childEnv)
	if path == "" {
		os.Exit(m.Run())
	}
	d, err := directory.Open(directory.Options{Path: path})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	operation.NewManager(operation.ManagerConfig{Directory: d, Host: host, StoreEvery: time.Millisecond,
		Runners: map[string]operation.Runner{"x": each(func(item operation.Item) error {
			fmt.Println(item.Position)
			return nil
		})}}).Run(context.Background())
}

func TestOperationResumesAfterAKill(t *testing.T) {
	d, path := newDirectory(t)
	const count = 20_000
	op, err := d.CreateOperation(t.Context(), operation.Operation{Type: "x", Host: host}, items(count))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		killOnceItHasStored(t, d, path, op.ID)
	}
	before, err := d.Operation(t.Context(), op.ID)
	if err != nil || before.State != operation.Running || before.Done == 0 {
		t.Fatalf("after the kills: %+v, %v", before, err)
	}
	r := run(t, d, map[string]operation.Runner{"x": each(func(operation.Item) error { return nil })})
	if got := finished(t, r.Manager, op.ID); got.State != operation.Successful || got.Done != count {
		t.Errorf("got %+v", got)
	}
	<-r.told
	if all := notifications(t, d); len(all) != 1 {
		t.Errorf("notifications %+v", all)
	}
}

// killOnceItHasStored runs a mailstore in a process of its own, and kills it when the directory has more of its progress
// than before.
func killOnceItHasStored(t *testing.T, d *directory.Directory, path, id string) {
	t.Helper()
	before, err := d.Operation(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out) // the child waits for its lines to be read, so it is never far ahead
	for now := before; now.Done == before.Done && lines.Scan(); {
		if now, err = d.Operation(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	_ = cmd.Wait() // it was killed
}
