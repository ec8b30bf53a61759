package sim_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"mailreplica/internal/metadata"
	"mailreplica/internal/sim/disk/disktest"
)

// TestCommitsThatAreNotSynced takes the power from a database between commits. What was read from the log is there with the position behind
// it, or neither is, so that it is read again; and it is there before anything that this database decides afterwards, for that is synced
// behind it. So a record that changes who commits may be lost by a mailstore, and do no harm.
func TestCommitsThatAreNotSynced(t *testing.T) {
	d, folder := disktest.Mount(t)
	s, err := metadata.Open(t.Context(), folder, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	random := rand.New(rand.NewPCG(1, 1))
	lost := 0
	for i := range 40 {
		durability := metadata.Lazy
		if i%8 == 7 {
			durability = metadata.Fsynced
		}
		err := s.Update(t.Context(), durability, func(tx *metadata.Tx) error {
			if durability == metadata.Fsynced { // it decides itself
				return tx.SetValue(fmt.Sprint("decided ", i), nil)
			}
			if err := tx.SetPosition(metadata.Position{ClusterID: "c", Offset: int64(i + 1)}); err != nil {
				return err
			}
			return tx.SetValue(fmt.Sprint("read ", i), nil)
		})
		if err != nil {
			t.Fatal(err)
		}
		after := filepath.Join(t.TempDir(), "after")
		if err := d.Leave(after, true, random); err != nil {
			t.Fatal(err)
		}
		lost += i + 1 - keptOf(t, after, i)
	}
	if lost == 0 {
		t.Error("nothing was ever lost; the test shows nothing")
	}
}

// keptOf checks what a database kept of the commits up to one, and gives how many.
func keptOf(t *testing.T, folder string, upTo int) int {
	t.Helper()
	s, err := metadata.Open(t.Context(), folder, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	kept := 0
	err = s.View(t.Context(), func(v *metadata.View) error {
		position, last := int64(0), 0
		positions, err := v.Positions()
		for _, p := range positions {
			position = p.Offset
		}
		for i := range upTo + 1 {
			kind := "read"
			if i%8 == 7 {
				kind = "decided"
			}
			_, found, failed := v.Value(fmt.Sprint(kind, " ", i))
			if failed != nil {
				return failed
			}
			switch {
			case !found && kind == "decided":
				t.Errorf("after commit %d: what was decided in commit %d is lost", upTo, i)
			case !found:
				continue
			case kept != i:
				t.Errorf("after commit %d: commit %d is there, and one before it is not", upTo, i)
			case kind == "read":
				last = i + 1
			}
			kept++
		}
		if int64(last) != position {
			t.Errorf("after commit %d: read up to %d, and the position is %d", upTo, last, position)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return kept
}
