package main

import (
	"context"
	"time"

	"mailreplica/internal/admin"
)

func blobCommands() []*command {
	return []*command{
		{
			module: "powerstore", name: "doCheckBlobs", summary: "Compare the volumes of a mailstore (--host) with the messages of all",
			text: `It finds blobs that no message, on any mailstore, has any more, and messages whose blob is missing. It changes nothing, unless
it is told to remove: then blobs go that nothing referred to in two looks, and only if every mailstore was asked and has
read the event log to its end. Blobs of removed messages that still wait for the end of the grace period are referred to.
What was found is shown at the end with --sync or --progress, and later by getBlobReport.`,
			options: []parameter{{name: "volume", value: "NAME", help: "one volume; all of the mailstore if left out"},
				{name: "remove", value: "true|false", help: "whether blobs that nothing refers to are removed (false if left out)"},
				{name: "older_than_hours", value: "N", help: "how old such a blob must be, 24 or more (72 if left out)"}},
			examples: []string{"--sync powerstore doCheckBlobs", "--progress powerstore doCheckBlobs volume central remove true older_than_hours 168"},
			run:      runCheckBlobs,
		},
		{
			module: "powerstore", name: "getBlobReport", summary: "Show what a check of volumes found",
			text:       "The mailstore that ran it (--host) keeps it.",
			positional: []parameter{{name: "operation_uuid", help: "the operation, as doCheckBlobs or core getAllOperations shows it"}},
			examples:   []string{"powerstore getBlobReport 7f0e9b52-0d5c-4f55-9d3c-52d8c1a1f7aa"}, run: runGetBlobReport,
		},
	}
}

func runCheckBlobs(ctx context.Context, s *session) error {
	in := admin.CheckBlobs{Volume: s.values["volume"]}
	remove, err := s.truth("remove")
	if err != nil {
		return err
	}
	in.Remove = remove != nil && *remove
	if _, given := s.values["older_than_hours"]; given {
		if in.OlderThanHours, err = s.number("older_than_hours", 1, 1_000_000); err != nil {
			return err
		}
	}
	o, err := s.client.CheckBlobs(ctx, in)
	if err != nil {
		return err
	}
	if o.OperationID == "" || !s.sync && !s.progress {
		return s.started(ctx, o, false)
	}
	op, err := s.awaited(ctx, o.OperationID)
	if err != nil {
		return err
	}
	reports, err := s.client.GetBlobReport(ctx, o.OperationID)
	if err != nil {
		return s.follow(ctx, o.OperationID) // it found nothing out; the operation says why
	}
	if err := s.printReports(reports); err != nil {
		return err
	}
	return exitOf(op)
}

func runGetBlobReport(ctx context.Context, s *session) error {
	reports, err := s.client.GetBlobReport(ctx, s.values["operation_uuid"])
	if err != nil {
		return err
	}
	return s.printReports(reports)
}

// printReports shows reports, on a terminal one after another: their lists have different columns.
func (s *session) printReports(reports []admin.BlobReport) error {
	all := make(records, len(reports))
	for i := range reports {
		all[i] = blobReport(&reports[i])
	}
	if s.json || s.terminalWidth == 0 {
		return s.print(all)
	}
	for _, one := range all {
		if err := s.printOne(one); err != nil {
			return err
		}
	}
	return nil
}

func blobReport(r *admin.BlobReport) record {
	unreferenced, missing, problems := records{}, records{}, records{}
	for _, b := range r.UnreferencedBlobs {
		unreferenced = append(unreferenced, record{{name: "blob", value: b.Name}, {name: "bytes", value: b.Size},
			{name: "modified", value: b.Modified.UTC().Format(time.RFC3339)}})
	}
	for _, m := range r.MissingBlobs {
		missing = append(missing, record{{name: "accountName", value: m.AccountName}, {name: "accountId", value: m.AccountID.String(), more: true},
			{name: "folder", value: m.Folder}, {name: "uid", value: int(m.UID)}, {name: "blob", value: m.Blob}})
	}
	for _, p := range r.Problems {
		problems = append(problems, record{{name: "problem", value: p, text: true}})
	}
	return record{{name: "volume", value: r.Volume}, {name: "mailstore", value: r.Mailstore, spare: 1}, {name: "complete", value: r.IsComplete()},
		{name: "ended", value: r.Ended.UTC().Format(time.RFC3339), spare: 2},
		{name: "blobs", value: r.Blobs.Blobs}, {name: "bytes", value: r.Blobs.Bytes, spare: 3},
		{name: "unreferenced", value: r.Unreferenced.Blobs}, {name: "unreferencedBytes", value: r.Unreferenced.Bytes, more: true},
		{name: "young", value: r.Young.Blobs, more: true}, {name: "removed", value: r.Removed.Blobs}, {name: "removedBytes", value: r.Removed.Bytes, more: true},
		{name: "missing", value: r.Missing}, {name: "more", value: r.More, more: true}, {name: "problems", value: problems},
		{name: "unreferencedBlobs", value: unreferenced}, {name: "missingBlobs", value: missing}}
}
