package main

import (
	"context"
	"fmt"
	"strings"

	"mailreplica/internal/admin"
	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
)

func mailReplicaServiceCommands() []*command {
	service := []parameter{{name: "service", help: "agent: what reads the event log (getServices shows all there are)"}}
	const stopped = `While the agent is stopped, accounts of that mailstore that have replicas are read-only: senders and clients are told to
try again later, and nothing is lost. Replicas on it fall behind, and catch up when it is started.`
	return []*command{
		{
			module: "MailReplica", name: "monitor", summary: "Watch an operation until it ends, and end as it did",
			text:       "The exit status is that of the operation. Ctrl-C ends the watching alone.",
			positional: []parameter{{name: "operation_uuid", help: "the id that the command told which started it"}},
			options:    []parameter{{name: "operation_host", value: "H", help: "the mailstore to ask; any can tell"}},
			examples:   []string{"MailReplica monitor 6b0c1c6e-3c0a-4b0e-9a53-0d8f5a1f3c11"},
			run:        runMonitor,
		},
		{
			module: "MailReplica", name: "test", summary: "Test brokers from a mailstore, before they are used",
			text: `Shows the brokers, and their settings that are not safe with what to do about each, and writes a record to a topic of its
own and reads it back. It speaks to them as the mailstore's configuration says (log.tls, log.sasl).
file:PATH in the place of the password reads it from a file here, - in the place of A reads all of it from standard input.`,
			positional: []parameter{{name: "brokers", help: "host[:port], separated by commas"}},
			options: []parameter{{name: "authentication", value: "A",
				help: "MECHANISM:user:password with PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; the configuration's if left out"}},
			examples: []string{"MailReplica test event1.example.com:9092",
				"MailReplica test event1.example.com:9093 authentication SCRAM-SHA-512:mailreplica:file:/root/brokers.password"},
			run: runTest,
		},
		{
			module: "MailReplica", name: "getServices", summary: "Show the parts of a mailstore (--host) that can be stopped and started",
			examples: []string{"--host mbox2.example.com MailReplica getServices"}, run: runGetServices,
		},
		{
			module: "MailReplica", name: "doStartService", summary: "Start a part of a mailstore (--host)", positional: service,
			examples: []string{"--host mbox2.example.com MailReplica doStartService agent"}, run: setService("start"),
		},
		{
			module: "MailReplica", name: "doStopService", summary: "Stop a part of a mailstore (--host)", positional: service,
			text:     stopped,
			examples: []string{"--host mbox2.example.com MailReplica doStopService agent"}, run: setService("stop"),
		},
		{
			module: "MailReplica", name: "doRestartService", summary: "Stop and start a part of a mailstore (--host)", positional: service,
			examples: []string{"--host mbox2.example.com MailReplica doRestartService agent"}, run: setService("restart"),
		},
	}
}

func runMonitor(ctx context.Context, s *session) error {
	if host := s.values["operation_host"]; host != "" {
		client, err := s.config.reach(ctx, host)
		if err != nil {
			return err
		}
		s.client, s.host = client, host
	}
	s.progress = true
	return s.follow(ctx, s.values["operation_uuid"])
}

// parseSASL reads MECHANISM:user:password; the password may hold colons, or be file:PATH.
func parseSASL(text string) (eventlog.SASL, error) {
	if text == "" || strings.EqualFold(text, "none") {
		return eventlog.SASL{}, nil
	}
	parts := strings.SplitN(text, ":", 3)
	mechanism := strings.ToUpper(parts[0])
	if len(parts) != 3 || parts[1] == "" || mechanism != "PLAIN" && mechanism != "SCRAM-SHA-256" && mechanism != "SCRAM-SHA-512" {
		return eventlog.SASL{}, fault.New(fault.Invalid, "authentication is not MECHANISM:user:password").
			WithHint("the mechanisms are PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512")
	}
	password, err := secretOf(parts[2])
	return eventlog.SASL{Mechanism: mechanism, User: parts[1], Password: password}, err
}

func runTest(ctx context.Context, s *session) error {
	text, err := s.password(s.values["authentication"])
	if err != nil {
		return err
	}
	sasl, err := parseSASL(text)
	if err != nil {
		return err
	}
	report, err := s.client.TestBrokers(ctx, admin.TestBrokers{Brokers: s.values["brokers"], SASL: sasl})
	if err != nil {
		return err
	}
	brokers := records{}
	broken := report.RoundTrip.Refused != ""
	for _, b := range report.Brokers {
		broken = broken || b.Error != ""
		brokers = append(brokers, record{{name: "broker", value: b.ID}, {name: "address", value: b.Address}, {name: "controller", value: b.Controller},
			{name: "rack", value: b.Rack, spare: 1},
			{name: "answerMilliseconds", value: millis(b.AnswerMillis)}, {name: "error", value: b.Error, text: true}})
	}
	warnings := records{}
	for _, w := range report.Warnings {
		warnings = append(warnings, record{{name: "warning", value: w.Setting}, {name: "value", value: w.Value}, {name: "want", value: w.Want},
			{name: "why", value: w.Why, text: true}, {name: "mend", value: w.Mend, text: true}})
	}
	err = s.printOne(record{
		{name: "clusterId", value: report.ClusterID}, {name: "version", value: report.Version}, {name: "topic", value: report.Topic},
		{name: "streams", value: report.Streams}, {name: "appendMilliseconds", value: millis(report.RoundTrip.AppendMillis)},
		{name: "readMilliseconds", value: millis(report.RoundTrip.ReadMillis)}, {name: "refused", value: report.RoundTrip.Refused},
		{name: "brokers", value: brokers}, {name: "warnings", value: warnings},
	})
	if err == nil && broken {
		err = exitCode(exitFailed)
	}
	return err
}

func millis(ms float64) string { return fmt.Sprintf("%.1f", ms) }

func runGetServices(ctx context.Context, s *session) error {
	found, err := s.client.GetServices(ctx)
	if err != nil {
		return err
	}
	return s.printServices(found)
}

func setService(do string) func(context.Context, *session) error {
	return func(ctx context.Context, s *session) error {
		found, err := s.client.SetService(ctx, admin.SetService{Name: strings.ToLower(s.values["service"]), Do: do})
		if err != nil {
			return err
		}
		return s.printServices(found)
	}
}

func (s *session) printServices(found admin.Services) error {
	all := make(records, len(found.Services))
	for i, one := range found.Services {
		all[i] = record{{name: "mailstore", value: found.Mailstore}, {name: "service", value: one.Name}, {name: "running", value: one.Running},
			{name: "canConnectToKafka", value: found.LogReachable}, {name: "detail", value: one.Detail, text: true}}
	}
	return s.print(all)
}
