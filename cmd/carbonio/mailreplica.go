package main

import (
	"context"

	"mailreplica/internal/admin"
)

// statusHelp says what getAccountStatus shows.
const statusHelp = `Without an argument: every account that has a replica. Filters are combined with AND. What a mailstore that does
not answer would have to tell is null.

sequence           number of the last change there; a replica with the home's number has all its mail
itemId             number of the last folder or message that was made there
mailboxId          of the mailbox in that mailstore's own database; it differs between copies
paused             the home writes to a journal of its own, and replicas get nothing (pauseReplicas)
available          the replica is complete; it can be promoted if canConnectToKafka is true, too
canConnectToKafka  the replica's mailstore reaches the brokers`

func mailReplicaCommands() []*command {
	selection := []parameter{
		{name: "accounts", value: "A,B", help: "names or ids, separated by commas"},
		{name: "input_file", value: "F", help: "a file with one name or id a line; lines that start with # are skipped"},
	}
	with := func(more ...parameter) []parameter { return append(selection[:len(selection):len(selection)], more...) }
	destination := parameter{name: "destination", help: "the mailstore that holds the replicas"}
	return []*command{
		{
			module: "MailReplica", name: "setAccountDestination", summary: "Make replicas of accounts on a mailstore, or change their priority",
			text: `The replicas are made by an operation; the command ends when it is started (--sync waits, --progress shows it).
all means every account that has its home elsewhere.`,
			positional: []parameter{destination, {name: "priority", help: "a number; the available replica with the lowest is promoted first"}},
			options:    selection, selects: true, words: true,
			examples: []string{"MailReplica setAccountDestination mbox2.example.com 10 accounts alice@example.com,bob@example.com",
				"--progress MailReplica setAccountDestination mbox3.example.com 20 input_file accounts.txt"},
			run: runSetDestination,
		},
		{
			module: "MailReplica", name: "removeAccountDestination", summary: "Remove replicas of accounts from a mailstore",
			text:       "That mailstore need not be running. all means every account with a replica there. Blobs are never touched.",
			positional: []parameter{destination}, options: selection, selects: true, words: true,
			examples: []string{"MailReplica removeAccountDestination mbox2.example.com accounts alice@example.com"},
			run:      runRemoveDestination,
		},
		{
			module: "MailReplica", name: "promoteAccounts", summary: "Make replicas of accounts the primaries",
			text: `Works with the old source dead, cut off or alive. Of each account the available replica with the lowest
priority is promoted, if no destination is given. Accounts that cannot be promoted without a loss are refused and
listed with the reason, and the exit status is 1. all means every account that has a replica.`,
			options: with(
				parameter{name: "source_mail_host", value: "H", help: "the accounts that have their home on this mailstore"},
				parameter{name: "destination", value: "D", help: "the mailstore that is to be their home"},
				parameter{name: "threads", value: "N", help: "how many accounts are promoted side by side: 1 to 64, 16 if left out"},
				parameter{name: "acceptLoss", value: "true", help: "promote paused accounts, too; what came since the pause may be lost"},
			),
			selects: true,
			examples: []string{"MailReplica promoteAccounts source_mail_host mbox1.example.com",
				"MailReplica promoteAccounts accounts alice@example.com destination mbox3.example.com"},
			run: runPromote,
		},
		{
			module: "MailReplica", name: "getAccountStatus", summary: "Show accounts, and how their replicas stand",
			text: statusHelp,
			options: []parameter{
				{name: "mailHost", value: "H,..", help: "accounts with their home there"},
				{name: "replicaServer", value: "H,..", help: "accounts with a replica there"},
				{name: "accounts", value: "A,..", help: "names or ids"},
				{name: "input_file", value: "F", help: "a file with one name or id a line"},
				{name: "domains", value: "D,..", help: "accounts of the domains"},
				{name: "accountStatus", value: "active|paused", help: "whether replication of the account is paused"},
				{name: "replicaStatus", value: "available|unavailable", help: "replicas whose available is true, or is not"},
			},
			selects:  true,
			examples: []string{"MailReplica getAccountStatus", "--json MailReplica getAccountStatus replicaStatus unavailable"},
			run:      runGetAccountStatus,
		},
		{
			module: "MailReplica", name: "pauseReplicas", summary: "Pause replication of accounts; what comes then is lost if their mailstore is",
			text: `The home goes on alone: it keeps what changes in a journal, and the brokers may be away. It begins while they answer,
for the pause is in the event log. Accounts that are paused cannot be promoted. restartReplicas ends it.`,
			options: selection, selects: true, examples: []string{"MailReplica pauseReplicas accounts alice@example.com"}, run: runPause,
		},
		{
			module: "MailReplica", name: "restartReplicas", summary: "Publish what was written during a pause, and replicate again",
			text:    `It ends when the event log has all of it. getAccountStatus accountStatus paused shows the accounts that are paused.`,
			options: selection, selects: true, examples: []string{"MailReplica restartReplicas all"}, run: runRestart,
		},
		{
			module: "MailReplica", name: "reseed", summary: "Declare the copies on one mailstore the primaries, and make the others anew from them",
			text: `For accounts whose event log is lost: what only the other copies have is lost, too. While the log works, use
promoteAccounts.`,
			positional: []parameter{{name: "from", help: "the mailstore whose copies are ahead"}},
			options:    selection, words: true,
			examples: []string{"MailReplica reseed mbox2.example.com accounts alice@example.com"}, run: runReseed,
		},
	}
}

func runSetDestination(ctx context.Context, s *session) error {
	priority, err := s.number("priority", 0, admin.PriorityMax)
	if err != nil {
		return err
	}
	selected, err := s.selection()
	if err != nil {
		return err
	}
	o, err := s.client.SetDestination(ctx, admin.SetDestination{Selection: selected, Destination: s.values["destination"], Priority: priority})
	if err != nil {
		return err
	}
	return s.started(ctx, o, false)
}

func runRemoveDestination(ctx context.Context, s *session) error {
	selected, err := s.selection()
	if err != nil {
		return err
	}
	o, err := s.client.RemoveDestination(ctx, admin.RemoveDestination{Selection: selected, Destination: s.values["destination"]})
	if err != nil {
		return err
	}
	return s.started(ctx, o, true)
}

func runPromote(ctx context.Context, s *session) error {
	selected, err := s.selection()
	if err != nil {
		return err
	}
	threads, err := s.number("threads", 1, admin.ThreadsMax)
	if err != nil {
		return err
	}
	acceptLoss, err := s.truth("acceptLoss")
	if err != nil {
		return err
	}
	o, err := s.client.Promote(ctx, admin.Promote{Selection: selected, SourceMailHost: s.values["source_mail_host"],
		Destination: s.values["destination"], Threads: threads, AcceptLoss: acceptLoss != nil && *acceptLoss})
	if err != nil {
		return err
	}
	return s.started(ctx, o, true)
}

func runPause(ctx context.Context, s *session) error {
	return s.change(ctx, s.client.Pause)
}

func runRestart(ctx context.Context, s *session) error {
	return s.change(ctx, s.client.Restart)
}

func (s *session) change(ctx context.Context, do func(context.Context, admin.Selection) (admin.Started, error)) error {
	selected, err := s.selection()
	if err != nil {
		return err
	}
	o, err := do(ctx, selected)
	if err != nil {
		return err
	}
	return s.started(ctx, o, true)
}

func runReseed(ctx context.Context, s *session) error {
	selected, err := s.selection()
	if err != nil {
		return err
	}
	o, err := s.client.Reseed(ctx, admin.Reseed{Selection: selected, From: s.values["from"]})
	if err != nil {
		return err
	}
	return s.started(ctx, o, true)
}

func runGetAccountStatus(ctx context.Context, s *session) error {
	selected, err := s.selection()
	if err != nil {
		return err
	}
	in := admin.GetStatus{Selection: selected, AccountStatus: s.values["accountStatus"], ReplicaStatus: s.values["replicaStatus"]}
	err = s.lists(filter{"mailHost", &in.MailHost}, filter{"replicaServer", &in.ReplicaServer}, filter{"domains", &in.Domains})
	if err != nil {
		return err
	}
	found, err := s.client.GetAccountStatus(ctx, in)
	if err != nil {
		return err
	}
	s.notes(found.Notes)
	all := make(records, len(found.Values))
	for i, a := range found.Values {
		all[i] = statusRecord(a)
	}
	return s.print(all)
}

// statusRecord has the fields that design section 8 names, in its order; what is more is for programs.
func statusRecord(a admin.AccountStatus) record {
	replicas := records{}
	for _, r := range a.Replicas {
		replicas = append(replicas, append(record{
			{name: "accountName", value: a.AccountName, table: true}, {name: "accountId", value: r.AccountID, spare: 3},
			{name: "itemId", value: r.ItemID, spare: 1}, {name: "sequence", value: r.Sequence},
			{name: "mailboxId", value: r.MailboxID, spare: 2}, {name: "destination", value: r.Destination}, {name: "available", value: r.Available},
			{name: "priority", value: r.Priority}, {name: "canConnectToKafka", value: r.CanConnectToKafka},
			{name: "state", value: r.State, more: true},
		}, detailFields(r.Details)...))
	}
	r := append(record{
		{name: "accountId", value: a.AccountID, spare: 3}, {name: "accountName", value: a.AccountName},
		{name: "accountMailHost", value: a.AccountMailHost}, {name: "paused", value: a.Paused},
		{name: "mailboxId", value: a.MailboxID, spare: 2}, {name: "sequence", value: a.Sequence}, {name: "itemId", value: a.ItemID, spare: 1},
	}, detailFields(a.Details)...)
	return append(r, field{name: "replicas", value: replicas})
}

// detailFields are null where the mailstore did not tell.
func detailFields(d *admin.Details) []field {
	fields := []field{{name: "condition"}, {name: "mode"}, {name: "epoch"}, {name: "digest"}, {name: "journal"}, {name: "messages"}, {name: "bytes"}}
	if d != nil {
		for i, value := range []any{d.Condition, d.Mode, d.Epoch, d.Digest, d.Journal, d.Messages, d.Bytes} {
			fields[i].value = value
		}
	}
	for i := range fields {
		fields[i].more = true
	}
	return fields
}
