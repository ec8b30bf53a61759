package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/procfs"
)

const largeName = "large@example.com"

// large makes one account with a large INBOX, which imapload fills while mbox1 does not run.
func (d *driver) large(ctx context.Context) error {
	made, err := d.directory.CreateAccount(ctx, directory.NewAccount{Name: largeName, PasswordHash: d.hash, MailHost: fqdn(1)})
	if fault.Is(err, fault.Exists) {
		return nil // with its messages, by an earlier run
	}
	if err != nil {
		return err
	}
	err = d.count(ctx, "its mailbox", 1, func(a *directory.Account) bool { return a.ID == made.ID && a.Epoch > 0 })
	if err != nil {
		return err
	}
	if err := d.cluster.Kill(mailstore(1)); err != nil {
		return err
	}
	fill := exec.CommandContext(ctx, filepath.Join(d.cluster.Bin, "imapload"),
		"-config", filepath.Join(d.cluster.Folder, "etc", mailstore(1)+".yaml"), "-user", made.ID.String(),
		"-bodies", "1", "bulk", strconv.Itoa(d.options.mailbox))
	fill.Stderr = os.Stderr
	if err := fill.Run(); err != nil {
		return fmt.Errorf("imapload: %w", err)
	}
	return d.restartOne(ctx)
}

// restartOne starts mbox1 again and waits until it serves.
func (d *driver) restartOne(ctx context.Context) error {
	if err := d.cluster.Restart(mailstore(1), d.profileArgs(1)...); err != nil {
		return err
	}
	return d.ready(ctx, 1)
}

// copyLarge makes the first copy of the large mailbox on mbox2, and says how much memory both took at most.
func (d *driver) copyLarge(ctx context.Context) error {
	for i := 1; i <= 2; i++ {
		if err := d.forgetPeak(i); err != nil {
			return err
		}
	}
	err := d.measured("first copy", d.options.mailbox, func() error {
		_, err := d.cluster.Carbonio(ctx, "--sync", "MailReplica", "setAccountDestination", fqdn(2), "10", "accounts", largeName)
		return err
	})
	if err != nil {
		return err
	}
	for i := 1; i <= 2; i++ {
		peak, err := d.peak(i)
		if err != nil {
			return err
		}
		say("  %s took at most %d MB", mailstore(i), peak>>20)
	}
	return nil
}

// forgetPeak has the kernel forget the most memory that a mailstore has taken.
func (d *driver) forgetPeak(i int) error {
	pid, err := d.cluster.PID(mailstore(i))
	if err != nil {
		return err
	}
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// peak is the most memory that a mailstore has taken since.
func (d *driver) peak(i int) (bytes int64, err error) {
	pid, err := d.cluster.PID(mailstore(i))
	if err != nil {
		return 0, err
	}
	kB, known := procfs.Number(pid, "status", "VmHWM")
	if !known {
		return 0, fmt.Errorf("the kernel does not tell the peak of process %d", pid)
	}
	return kB << 10, nil
}

// largeMail measures the operations of mail in the large mailbox.
func (d *driver) largeMail(ctx context.Context) error {
	begun := time.Now()
	b, err := d.open(ctx, largeName)
	if err != nil {
		return err
	}
	say("first login and SELECT: %.1f ms", ms(time.Since(begun)))
	if err := b.session.Close(); err != nil {
		return err
	}
	return d.mail(ctx, []string{largeName}, operationRepeats)
}
