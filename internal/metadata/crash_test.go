package metadata_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/mariadb"
	"mailreplica/internal/metadata"
	"mailreplica/internal/protocol"
)

const crashWriters = 8

// writeForEver is the child of the crash test. Each of its goroutines delivers to a mailbox of its own, again and again, and
// after each Update that returned prints its number and the sequence that it had committed.
func writeForEver(args []string) {
	ctx := context.Background()
	s, err := openAt(ctx, args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("open")
	var printing sync.Mutex
	var writers sync.WaitGroup
	for n := range crashWriters {
		writers.Go(func() {
			for {
				sequence, err := deliverNext(ctx, s, n)
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				printing.Lock()
				fmt.Println(n, sequence)
				printing.Unlock()
			}
		})
	}
	writers.Wait()
}

// deliverNext commits the next sequence of a mailbox, which has a message for each: rows in several tables, a position and
// a setting that must all say the same.
func deliverNext(ctx context.Context, s *metadata.Store, n int) (mailbox.Sequence, error) {
	d := metadata.Durability(n % 2)
	var sequence mailbox.Sequence
	err := s.Update(ctx, d, func(tx *metadata.Tx) error {
		id := account.ID{15: byte(n)}
		m, found, err := tx.Mailbox(id)
		if err != nil {
			return err
		}
		if !found {
			if m.ID, err = tx.CreateMailbox(protocol.NewLocal(id, "mbox1.example.com")); err != nil {
				return err
			}
			m.Copy = *protocol.NewLocal(id, "mbox1.example.com")
		}
		sequence = m.Header.Sequence + 1
		from := &delivery{next: mailbox.UID(sequence), header: m.Header}
		if err := tx.Write(m.ID, from.delta(1)); err != nil {
			return err
		}
		m.Copy.Committed = sequence
		if err := tx.SaveCopy(m.ID, &m.Copy); err != nil {
			return err
		}
		if err := tx.SetPosition(metadata.Position{Stream: int32(n), Offset: int64(sequence)}); err != nil {
			return err
		}
		return tx.SetValue(fmt.Sprint(n), binary.BigEndian.AppendUint64(nil, uint64(sequence)))
	})
	return sequence, err
}

func startWriter(t *testing.T, p place) *child {
	t.Helper()
	c := startChild(t, "writer", p.args()...)
	lines := bufio.NewReader(c.out)
	if first, err := lines.ReadString('\n'); err != nil || first != "open\n" {
		t.Fatalf("the child said %q, %v, want it to open the database", first, err)
	}
	c.out = lines
	return c
}

// args name a place to a child; openAt is its other end.
func (p place) args() []string {
	if p.config == nil {
		return []string{p.dir}
	}
	return []string{p.config.Address, p.config.Database, p.config.User, p.config.Password}
}

func openAt(ctx context.Context, args []string) (*metadata.Store, error) {
	logger := slog.New(slog.DiscardHandler)
	if len(args) == 1 {
		return metadata.Open(ctx, args[0], logger)
	}
	return metadata.OpenMariaDB(ctx, mariadb.Config{
		Address: args[0], Database: args[1], User: args[2], Password: args[3],
	}, logger)
}

// TestKill kills a process in the middle of its Updates, again and again over the same database. Every Update that returned
// must have survived, and none may be there by half.
func TestKill(t *testing.T) { onEach(t, testKill) }

func testKill(t *testing.T, p place) {
	var told [crashWriters]mailbox.Sequence
	for round := range 5 {
		c := startWriter(t, p)
		timer := time.AfterFunc(time.Duration(50+rand.IntN(200))*time.Millisecond, func() { _ = c.cmd.Process.Kill() })
		for lines := bufio.NewScanner(c.out); lines.Scan(); {
			var n int
			var sequence mailbox.Sequence
			if _, err := fmt.Sscanf(lines.Text(), "%d %d", &n, &sequence); err == nil {
				told[n] = sequence
			} else if strings.Count(lines.Text(), " ") == 1 && !strings.HasSuffix(lines.Text(), " ") {
				t.Errorf("the child said %q", lines.Text())
			}
		}
		timer.Stop()
		_ = c.cmd.Wait()
		checkCrashed(t, p, &told)
		if t.Failed() {
			t.Fatalf("after kill %d", round+1)
		}
	}
	for n, sequence := range told {
		if sequence == 0 {
			t.Errorf("writer %d never wrote anything", n)
		}
	}
}

func checkCrashed(t *testing.T, p place, told *[crashWriters]mailbox.Sequence) {
	t.Helper()
	s := p.open(t)
	view(t, s, func(v *metadata.View) error {
		positions, err := v.Positions()
		if err != nil {
			return err
		}
		for n := range told {
			m, found, err := v.Mailbox(account.ID{15: byte(n)})
			if err != nil {
				return err
			}
			sequence := m.Header.Sequence
			if sequence < told[n] {
				t.Errorf("mailbox %d has sequence %d, its writer was told that %d is committed", n, sequence, told[n])
			}
			if !found {
				continue
			}
			checkWhole(t, v, m, n)
			for _, p := range positions {
				if int(p.Stream) == n && p.Offset != int64(sequence) {
					t.Errorf("mailbox %d has sequence %d, its position says %d", n, sequence, p.Offset)
				}
			}
		}
		return nil
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// checkWhole compares everything that deliverNext writes with the sequence in the header.
func checkWhole(t *testing.T, v *metadata.View, m metadata.Mailbox, n int) {
	t.Helper()
	sequence := m.Header.Sequence
	if m.Copy.Committed != sequence {
		t.Errorf("mailbox %d has sequence %d, its copy says %d", n, sequence, m.Copy.Committed)
	}
	b, _, err := v.Value(fmt.Sprint(n))
	if err != nil || binary.BigEndian.Uint64(b) != uint64(sequence) {
		t.Errorf("mailbox %d has sequence %d, its setting says %x (%v)", n, sequence, b, err)
	}
	rows := v.Rows(m.ID)
	f, _, err := rows.Folder(inbox)
	if err != nil || mailbox.Sequence(f.Messages) != sequence || mailbox.Sequence(f.UIDNext) != sequence+1 {
		t.Errorf("mailbox %d has sequence %d, its folder is %+v (%v)", n, sequence, f, err)
	}
	uid := mailbox.UID(0)
	err = rows.Messages(inbox, 1, 1<<32-1, func(one mailbox.Message) bool {
		uid++
		if one.UID != uid || one.ModSeq != mailbox.Sequence(uid) {
			t.Errorf("mailbox %d has message %+v where UID %d is due", n, one, uid)
		}
		return true
	})
	if err != nil || mailbox.Sequence(uid) != sequence {
		t.Errorf("mailbox %d has sequence %d but %d messages (%v)", n, sequence, uid, err)
	}
	contents := 0
	if err := rows.ScanContents(0, func(mailbox.Content) bool { contents++; return true }); err != nil || contents != int(uid) {
		t.Errorf("mailbox %d has %d messages but %d contents (%v)", n, uid, contents, err)
	}
	deliveries, err := rows.CountDeliveries()
	if err != nil || deliveries != int(uid) {
		t.Errorf("mailbox %d has %d messages but %d deliveries (%v)", n, uid, deliveries, err)
	}
}
