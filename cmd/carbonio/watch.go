package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"mailreplica/internal/admin"
	"mailreplica/internal/fault"
	"mailreplica/internal/pause"
)

const (
	watchSoonest = 20 * time.Millisecond // between the first questions; most operations are short
	watchSlowest = 250 * time.Millisecond
	watchAwayMax = 30 * time.Second // how long a watched operation may be out of reach
)

// started tells of an operation that was started, and waits for it if the command waits or that was asked for.
func (s *session) started(ctx context.Context, o admin.Started, waits bool) error {
	s.notes(o.Notes)
	if o.OperationID == "" {
		r := record{{name: "accounts", value: o.Accounts}}
		if o.Pending > 0 {
			r = append(r, field{name: "pending", value: o.Pending})
		}
		return s.printOne(r)
	}
	if waits || s.sync || s.progress {
		return s.follow(ctx, o.OperationID)
	}
	fmt.Fprintf(s.stderr, "it goes on by itself; watch it with: carbonio MailReplica monitor %s\n", o.OperationID)
	return s.printOne(record{{name: "operationId", value: o.OperationID}, {name: "operationHost", value: o.Host},
		{name: "accounts", value: o.Accounts}})
}

// follow waits until an operation has ended, shows its progress if that was asked for, and tells how it ended.
func (s *session) follow(ctx context.Context, id string) error {
	op, err := s.awaited(ctx, id)
	if err != nil {
		return err
	}
	failures, err := s.failures(ctx, op)
	if err != nil {
		return err
	}
	r := operationRecord(op)
	r = append(r, field{name: "failures", value: failures})
	if err := s.printOne(r); err != nil {
		return err
	}
	return exitOf(op)
}

// awaited waits until an operation has ended, and says so if the command is interrupted before.
func (s *session) awaited(ctx context.Context, id string) (admin.Operation, error) {
	op, err := s.await(ctx, id)
	if ctx.Err() != nil {
		fmt.Fprintf(s.stderr, "interrupted: the operation %s goes on; watch it with: carbonio MailReplica monitor %s\n", id, id)
		return op, exitCode(exitInterrupted)
	}
	return op, err
}

func exitOf(op admin.Operation) error {
	switch op.State {
	case "successful":
		return nil
	case "stopped":
		return exitCode(exitStopped)
	case "removed":
		return exitCode(exitRemoved)
	}
	return exitCode(exitFailed)
}

// await asks for the operation until it has ended. If the mailstore asked goes away, another one is asked.
func (s *session) await(ctx context.Context, id string) (admin.Operation, error) {
	line := progressLine{s: s}
	defer line.end()
	answered := time.Now()
	for wait := watchSoonest; ; wait = min(wait*3/2, watchSlowest) {
		op, err := s.client.GetOperation(ctx, id)
		switch {
		case err == nil:
			answered = time.Now()
			line.show(op)
			if op.Finished() {
				return op, nil
			}
		case fault.Is(err, fault.HomeUnreachable) && time.Since(answered) < watchAwayMax:
			if other, err := s.config.reach(ctx, s.host); err == nil {
				s.client = other
			}
		case !fault.Is(err, fault.DirectoryUnavailable) || time.Since(answered) >= watchAwayMax:
			return op, err
		}
		if err := pause.For(ctx, wait); err != nil {
			return op, err
		}
	}
}

// failures reads the accounts that the operation failed for.
func (s *session) failures(ctx context.Context, op admin.Operation) (records, error) {
	all := records{}
	for from, more := 0, op.Failed > 0; more; {
		page, err := s.client.GetFailures(ctx, admin.GetFailures{ID: op.ID, From: from})
		if err != nil {
			return nil, err
		}
		for _, f := range page.Values {
			all = append(all, record{{name: "accountName", value: f.AccountName}, {name: "accountId", value: f.AccountID, more: true},
				{name: "reason", value: f.Reason, text: true}})
		}
		from, more = page.Next, page.Next > 0
	}
	return all, nil
}

// progressLine shows how far an operation is: one line that is written over on a terminal, else one line a change.
type progressLine struct {
	s    *session
	last string
}

func (p *progressLine) show(op admin.Operation) {
	if !p.s.progress {
		return
	}
	text := fmt.Sprintf("%s %s: %d of %d", op.Type, op.State, op.Done, op.Total)
	if op.Failed > 0 {
		text += fmt.Sprintf(", %d failed", op.Failed)
	}
	if op.Error != "" && !op.Finished() {
		text += " (" + op.Error + ")"
	}
	if text == p.last {
		return
	}
	p.last = text
	if !p.s.liveProgress {
		fmt.Fprintln(p.s.stderr, text)
		return
	}
	const barWidth = 30
	filled := 0
	if op.Total > 0 {
		filled = barWidth * op.Done / op.Total
	}
	fmt.Fprintf(p.s.stderr, "\r\x1b[K[%s%s] %s", strings.Repeat("#", filled), strings.Repeat(".", barWidth-filled), text)
}

func (p *progressLine) end() {
	if p.last != "" && p.s.liveProgress {
		fmt.Fprintln(p.s.stderr)
	}
}

func operationRecord(op admin.Operation) record {
	return record{{name: "operationId", value: op.ID}, {name: "type", value: op.Type},
		{name: "operationHost", value: op.Host, spare: 5}, {name: "state", value: op.State}, {name: "total", value: op.Total, spare: 3},
		{name: "done", value: op.Done, spare: 2}, {name: "failed", value: op.Failed, spare: 1},
		{name: "error", value: op.Error, text: true, spare: 4}, {name: "created", value: op.Created, spare: 6},
		{name: "finished", value: op.FinishedAt, spare: 7}}
}
