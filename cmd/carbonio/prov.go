package main

import (
	"context"
	"fmt"

	"mailreplica/internal/admin"
)

func provCommands() []*command {
	name := parameter{name: "name", help: "of the account: local@domain, or its id"}
	return []*command{
		{
			module: "prov", name: "createAccount", summary: "Make an account",
			text: "Mail can be delivered to it as soon as the command has ended.",
			positional: []parameter{{name: "name", help: "local@domain"},
				{name: "password", help: "its password; - reads it from standard input, so that ps does not show it"}},
			options: []parameter{{name: "mailHost", value: "H", help: "its home; the mailstore with the fewest accounts if left out"}},
			examples: []string{"prov createAccount alice@example.com 'a good password' mailHost mbox1.example.com",
				"prov createAccount bob@example.com - < password.txt"},
			run: runCreateAccount,
		},
		{
			module: "prov", name: "getAccount", summary: "Show an account and its replicas",
			positional: []parameter{name}, examples: []string{"prov getAccount alice@example.com"}, run: runGetAccount,
		},
		{
			module: "prov", name: "modifyAccount", summary: "Change an account",
			text:       "A new status or password ends the sessions of the account.",
			positional: []parameter{name},
			options: []parameter{
				{name: "status", value: "S", help: "active; locked (receives, no login), maintenance (neither, for a while), closed (neither)"},
				{name: "password", value: "P", help: "the new password; - reads it from standard input, so that ps does not show it"},
				{name: "isGlobalAdmin", value: "true|false", help: "whether notifications go to it"},
			},
			refused: map[string]string{"mailHost": "moving an account is a promotion: MailReplica promoteAccounts accounts NAME destination H"},
			examples: []string{"prov modifyAccount alice@example.com status locked",
				"prov modifyAccount admin@example.com isGlobalAdmin true"},
			run: runModifyAccount,
		},
		{
			module: "prov", name: "deleteAccount", summary: "End an account, or a distribution list, and every copy of its mailbox",
			text: `It cannot be undone, and a source that returns does not bring it back. Its name is free when the command has
ended; if the account's home does not answer, that is when the home returns or another copy is promoted.`,
			positional: []parameter{name}, examples: []string{"prov deleteAccount alice@example.com"}, run: runDeleteAccount,
		},
		{
			module: "prov", name: "getAllAccounts", summary: "List accounts",
			options: []parameter{{name: "mailHost", value: "H,..", help: "those with their home there"},
				{name: "domains", value: "D,..", help: "those of the domains"}},
			examples: []string{"prov getAllAccounts", "prov getAllAccounts mailHost mbox1.example.com"}, run: runGetAllAccounts,
		},
		{
			module: "prov", name: "createDistributionList", summary: "Make a distribution list, so that its name is known as one",
			positional: []parameter{{name: "name", help: "local@domain"}},
			examples:   []string{"prov createDistributionList team@example.com"}, run: runCreateList,
		},
		{
			module: "prov", name: "getAllServers", summary: "List the mailstores",
			examples: []string{"prov getAllServers"}, run: runGetAllServers,
		},
		{
			module: "prov", name: "deleteServer", summary: "Forget a mailstore; refused while anything lives there, or while it runs",
			positional: []parameter{{name: "mailstore", help: "its FQDN"}},
			examples:   []string{"prov deleteServer mbox3.example.com"}, run: runDeleteServer,
		},
	}
}

func accountRecord(a admin.Account) record {
	replicas := records{}
	for _, r := range a.Replicas {
		replicas = append(replicas, record{{name: "destination", value: r.Destination}, {name: "priority", value: r.Priority},
			{name: "state", value: r.State}})
	}
	return record{{name: "accountId", value: a.ID}, {name: "accountName", value: a.Name}, {name: "mailHost", value: a.MailHost},
		{name: "status", value: a.Status}, {name: "isGlobalAdmin", value: a.IsGlobalAdmin}, {name: "paused", value: a.Paused},
		{name: "deleting", value: a.Deleting}, {name: "created", value: a.Created}, {name: "replicas", value: replicas}}
}

func listRecord(a admin.Account) record {
	return record{{name: "distributionListId", value: a.ID}, {name: "distributionListName", value: a.Name},
		{name: "created", value: a.Created}}
}

func runCreateAccount(ctx context.Context, s *session) error {
	password, err := s.password(s.values["password"])
	if err != nil {
		return err
	}
	made, err := s.client.CreateAccount(ctx, admin.CreateAccount{Name: s.values["name"], Password: password, MailHost: s.values["mailHost"]})
	if err != nil {
		return err
	}
	s.notes(made.Notes)
	return s.printOne(accountRecord(made))
}

func runGetAccount(ctx context.Context, s *session) error {
	found, err := s.client.GetAccount(ctx, s.values["name"])
	if err != nil {
		return err
	}
	if found.Kind == "list" {
		return s.printOne(listRecord(found))
	}
	return s.printOne(accountRecord(found))
}

func runModifyAccount(ctx context.Context, s *session) error {
	in := admin.ModifyAccount{Name: s.values["name"]}
	if status, given := s.values["status"]; given {
		in.Status = &status
	}
	if text, given := s.values["password"]; given {
		password, err := s.password(text)
		if err != nil {
			return err
		}
		in.Password = &password
	}
	var err error
	if in.IsGlobalAdmin, err = s.truth("isGlobalAdmin"); err != nil {
		return err
	}
	changed, err := s.client.ModifyAccount(ctx, in)
	if err != nil {
		return err
	}
	return s.printOne(accountRecord(changed))
}

func runDeleteAccount(ctx context.Context, s *session) error {
	o, err := s.client.DeleteAccount(ctx, s.values["name"])
	if err != nil {
		return err
	}
	return s.started(ctx, o, true)
}

func runGetAllAccounts(ctx context.Context, s *session) error {
	var in admin.ListAccounts
	if err := s.lists(filter{"mailHost", &in.MailHost}, filter{"domains", &in.Domains}); err != nil {
		return err
	}
	found, err := s.client.GetAllAccounts(ctx, in)
	if err != nil {
		return err
	}
	all := make(records, len(found))
	for i, a := range found {
		all[i] = record{{name: "accountId", value: a.ID, spare: 1}, {name: "accountName", value: a.Name}, {name: "mailHost", value: a.MailHost},
			{name: "status", value: a.Status}, {name: "isGlobalAdmin", value: a.IsGlobalAdmin}, {name: "deleting", value: a.Deleting, more: true},
			{name: "replicas", value: len(a.Replicas)}}
	}
	return s.print(all)
}

func runCreateList(ctx context.Context, s *session) error {
	made, err := s.client.CreateList(ctx, s.values["name"])
	if err != nil {
		return err
	}
	return s.printOne(listRecord(made))
}

func runGetAllServers(ctx context.Context, s *session) error {
	found, err := s.client.GetAllServers(ctx)
	if err != nil {
		return err
	}
	all := make(records, len(found))
	for i, m := range found {
		all[i] = record{{name: "mailstore", value: m.Name}, {name: "running", value: m.Running}, {name: "accounts", value: m.Accounts},
			{name: "replicas", value: m.Replicas}, {name: "adminAddress", value: m.AdminAddr, spare: 1},
			{name: "peerAddress", value: m.PeerAddr, spare: 2}, {name: "lmtpAddress", value: m.LMTPAddr, spare: 3},
			{name: "imapAddress", value: m.IMAPAddr, spare: 4}, {name: "seenAt", value: m.SeenAt}}
	}
	return s.print(all)
}

func runDeleteServer(ctx context.Context, s *session) error {
	if err := s.client.DeleteServer(ctx, s.values["mailstore"]); err != nil {
		return err
	}
	fmt.Fprintf(s.stderr, "the mailstore %s is forgotten\n", printable(s.values["mailstore"]))
	return nil
}
