package metadata_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"mailreplica/internal/fault"
	"mailreplica/internal/metadata"
)

// TestFull runs into the engine's own limit in the middle of a group.
func TestFull(t *testing.T) { inBubble(t, inSQLite(t), testFull) }

func testFull(t *testing.T, s *metadata.Store) {
	big := make([]byte, 1<<20)
	errs := grouped(t, s, metadata.Lazy,
		set("before", "value"),
		func(tx *metadata.Tx) error {
			if err := metadata.LimitPages(tx, "60"); err != nil {
				return err
			}
			err := tx.SetValue("big", big)
			wantKind(t, err, fault.DatabaseUnavailable)
			wantKind(t, tx.SetValue("small", nil), fault.DatabaseUnavailable)
			return nil // as if nothing had happened
		},
		set("after", "value"),
	)
	wantKind(t, errs[1], fault.DatabaseUnavailable)
	for _, key := range []string{"big", "small"} {
		if _, found := value(t, s, key); found {
			t.Errorf("%q is there: the function was applied by half", key)
		}
	}
	for i, key := range map[int]string{0: "before", 2: "after"} {
		_, found := value(t, s, key)
		if err := errs[i]; found != (err == nil) || err != nil && !fault.Is(err, fault.DatabaseUnavailable) {
			t.Errorf("%q: got error %v, written %t", key, err, found)
		}
	}
	update(t, s, func(tx *metadata.Tx) error { return metadata.LimitPages(tx, "1000000") }) // there is space again
	update(t, s, func(tx *metadata.Tx) error { return tx.SetValue("big", big) })
	if got, _ := value(t, s, "big"); len(got) != len(big) {
		t.Errorf("got %d bytes once there is space again, want %d", len(got), len(big))
	}
}

// fillTheDisk is the child of TestFileLimit. Its files may not grow beyond a limit, which it lifts after a while.
func fillTheDisk(dir string) {
	signal.Ignore(syscall.SIGXFSZ) // then writes fail with EFBIG
	if err := fillAndGoOn(dir); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println("done")
	os.Exit(0)
}

func fillAndGoOn(dir string) error {
	ctx := context.Background()
	s, err := metadata.Open(ctx, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	unlimited := limit.Cur
	limit.Cur = 4 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	put := func(i int) error {
		return s.Update(ctx, metadata.Durability(i%2), func(tx *metadata.Tx) error {
			return errors.Join(tx.SetValue("count", []byte(fmt.Sprint(i))), tx.SetValue(fmt.Sprint(i), make([]byte, 100_000)))
		})
	}
	i := 0
	for ; err == nil; i++ {
		err = put(i)
	}
	if !fault.Is(err, fault.DatabaseUnavailable) {
		return fmt.Errorf("a full disk gave kind %v: %w", fault.KindOf(err), err)
	}
	if err := put(i); !fault.Is(err, fault.DatabaseUnavailable) {
		return fmt.Errorf("the next Update gave kind %v: %w", fault.KindOf(err), err)
	}
	if err := checkCount(ctx, s, i-2); err != nil {
		return fmt.Errorf("while the disk is full: %w", err)
	}
	limit.Cur = unlimited
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	if err := put(i); err != nil {
		return fmt.Errorf("once there is space again: %w", err)
	}
	if err := checkCount(ctx, s, i); err != nil {
		return fmt.Errorf("once there is space again: %w", err)
	}
	return s.Close()
}

// checkCount checks that the last Update that was committed is number n.
func checkCount(ctx context.Context, s *metadata.Store, n int) error {
	return s.View(ctx, func(v *metadata.View) error {
		count, _, err := v.Value("count")
		if err != nil {
			return err
		}
		_, last, err := v.Value(fmt.Sprint(n))
		if err != nil {
			return err
		}
		_, next, err := v.Value(fmt.Sprint(n + 1))
		if string(count) != fmt.Sprint(n) || !last || next {
			return fmt.Errorf("got count %s, row %d %t, row %d %t", count, n, last, n+1, next)
		}
		return err
	})
}

// TestFileLimit has writes to the files fail, as on a full disk, until there is space again.
func TestFileLimit(t *testing.T) {
	dir := t.TempDir()
	c := startChild(t, "full", dir)
	var said strings.Builder
	for lines := bufio.NewScanner(c.out); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
	}
	if err := c.cmd.Wait(); err != nil || said.String() != "done\n" {
		t.Fatalf("the child said %q, %v", said.String(), err)
	}
	s := open(t, dir)
	update(t, s, set("key", "value"))
}

// TestFsyncFails has the store refuse all writes, and go on reading, until it is opened again.
func TestFsyncFails(t *testing.T) { inBubble(t, inSQLite(t), testFsyncFails) }

func testFsyncFails(t *testing.T, s *metadata.Store) {
	update(t, s, set("earlier", "value"))
	for i, err := range grouped(t, s, metadata.Fsynced, set("before", "value"), metadata.Lose, set("after", "value")) {
		if !fault.Is(err, fault.DatabaseUnavailable) {
			t.Errorf("function %d: got %v, want DatabaseUnavailable", i, err)
		}
	}
	err := s.Update(t.Context(), metadata.Lazy, set("later", "value"))
	wantKind(t, err, fault.DatabaseUnavailable)
	wantKind(t, s.Sync(t.Context()), fault.DatabaseUnavailable)
	if hint := fault.HintOf(err); !strings.Contains(hint, "restart") {
		t.Errorf("got hint %q, want it to say that the mailstore must be restarted", hint)
	}
	for key, want := range map[string]bool{"earlier": true, "before": false, "after": false, "later": false} {
		if _, found := value(t, s, key); found != want {
			t.Errorf("%q is there: %t, want %t", key, found, want)
		}
	}
}
