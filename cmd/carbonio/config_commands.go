package main

import (
	"context"
	"strings"

	"mailreplica/internal/admin"
	"mailreplica/internal/fault"
)

func configCommands() []*command {
	scope := parameter{name: "scope", help: "global: all mailstores share it"}
	return []*command{
		{
			module: "config", name: "set", summary: "Set a global setting, on every mailstore and without a restart",
			text: `brokers               of the event log: host, IPv4 or IPv6, port 9092 if none is given; they must answer
notificationFrom      the address that notifications come from
notificationWebhook   the URL that notifications are posted to
An empty value ("") unsets it.`,
			positional: []parameter{scope, {name: "name", help: "of the setting"}, {name: "value", help: "its value"}},
			examples: []string{`config set global brokers "event1.example.com:9092,event2.example.com:9092"`,
				`config set global notificationWebhook https://hooks.example.com/mail`},
			run: runConfigSet,
		},
		{
			module: "config", name: "get", summary: "Show a global setting, or all of them",
			positional: []parameter{scope, {name: "name", help: "of the setting; all if it is left out", optional: true}},
			examples:   []string{"config get global brokers"},
			run:        runConfigGet,
		},
	}
}

func (s *session) checkScope() error {
	if scope := s.values["scope"]; !strings.EqualFold(scope, "global") {
		return fault.New(fault.Invalid, "there are no settings of scope %q", scope).WithHint("write global")
	}
	return nil
}

func runConfigSet(ctx context.Context, s *session) error {
	if err := s.checkScope(); err != nil {
		return err
	}
	set, err := s.client.SetConfig(ctx, s.values["name"], s.values["value"])
	if err != nil {
		return err
	}
	return s.printSettings([]admin.Setting{set})
}

func runConfigGet(ctx context.Context, s *session) error {
	if err := s.checkScope(); err != nil {
		return err
	}
	all, err := s.client.GetConfig(ctx, s.values["name"])
	if err != nil {
		return err
	}
	return s.printSettings(all)
}

// printSettings shows each setting under its own name. One that is not set is empty, null for programs.
func (s *session) printSettings(all []admin.Setting) error {
	var r record
	for _, one := range all {
		f := field{name: one.Name, value: one.Value}
		if one.Value == nil && !s.json {
			f.value = ""
			if s.terminalWidth > 0 {
				f.value = "(not set)"
			}
		}
		r = append(r, f)
	}
	return s.printOne(r)
}
