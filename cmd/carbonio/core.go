package main

import (
	"context"
	"fmt"

	"mailreplica/internal/admin"
)

func coreCommands() []*command {
	id := []parameter{{name: "operation_uuid", help: "the id that the command told which started it"}}
	return []*command{
		{
			module: "core", name: "getAllOperations", summary: "List the operations of every mailstore, the newest first",
			examples: []string{"core getAllOperations"}, run: runGetAllOperations,
		},
		{
			module: "core", name: "doStopOperation", summary: "Stop an operation; what it did stays done", positional: id,
			text: `An operation that only waits for what the mailstores do is no longer watched then, but they go on: a replica that was
wished for with setAccountDestination is made all the same, until removeAccountDestination takes the wish back.`,
			examples: []string{"core doStopOperation 6b0c1c6e-3c0a-4b0e-9a53-0d8f5a1f3c11"},
			run: func(ctx context.Context, s *session) error {
				return s.endOperation(ctx, s.client.StopOperation)
			},
		},
		{
			module: "core", name: "doRemoveOperation", summary: "Give up an operation whose mailstore will not come back", positional: id,
			examples: []string{"core doRemoveOperation 6b0c1c6e-3c0a-4b0e-9a53-0d8f5a1f3c11"},
			run: func(ctx context.Context, s *session) error {
				return s.endOperation(ctx, s.client.RemoveOperation)
			},
		},
		{
			module: "core", name: "getNotification", summary: "Show the notifications, or one of them",
			options:  []parameter{{name: "id", value: "UUID", help: "of the notification"}},
			examples: []string{"core getNotification", "core getNotification id 0f8e2d3c-7c51-4b0e-8a53-0d8f5a1f3c11"},
			run:      runGetNotification,
		},
	}
}

func runGetAllOperations(ctx context.Context, s *session) error {
	found, err := s.client.GetAllOperations(ctx)
	if err != nil {
		return err
	}
	all := make(records, len(found))
	for i, op := range found {
		all[i] = operationRecord(op)
	}
	return s.print(all)
}

func (s *session) endOperation(ctx context.Context, end func(context.Context, string) (admin.Operation, error)) error {
	op, err := end(ctx, s.values["operation_uuid"])
	if err != nil {
		return err
	}
	if !op.Finished() {
		fmt.Fprintf(s.stderr, "%s stops it soon; watch it with: carbonio MailReplica monitor %s\n", op.Host, op.ID)
	}
	return s.printOne(operationRecord(op))
}

func runGetNotification(ctx context.Context, s *session) error {
	id := s.values["id"]
	found, err := s.client.GetNotifications(ctx, id)
	if err != nil {
		return err
	}
	all := make(records, len(found))
	for i, n := range found {
		all[i] = record{{name: "id", value: n.ID}, {name: "server", value: n.Server, spare: 2}, {name: "date", value: n.Date},
			{name: "type", value: n.Type, spare: 1}, {name: "subject", value: n.Subject, text: true}, {name: "operationId", value: n.Operation, more: id == ""},
			{name: "text", value: n.Text, more: id == ""}}
	}
	if id != "" {
		return s.printOne(all[0])
	}
	return s.print(all)
}
