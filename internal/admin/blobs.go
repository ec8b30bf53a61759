package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/operation"
	"mailreplica/internal/reclaim"
)

// BlobChecker finds what a volume of this mailstore and the mailboxes of all disagree about.
type BlobChecker interface {
	Check(ctx context.Context, asked reclaim.Check, progress func(step string)) (reclaim.Report, error)
}

// BlobReport is what a check of one volume found.
type BlobReport = reclaim.Report

const (
	reportsKept  = 50 // checks whose reports are kept, the newest
	reportSuffix = ".blobs.json"
	hoursMax     = 10 * 365 * 24
)

// CheckBlobs is what CheckBlobs takes.
type CheckBlobs struct {
	Volume         string `json:"volume,omitempty"` // empty: all volumes of the mailstore
	Remove         bool   `json:"remove,omitempty"` // blobs that nothing refers to
	OlderThanHours int    `json:"olderThanHours,omitempty"`
}

// checkParameters are those of the operation.
type checkParameters struct {
	Remove         bool
	OlderThanHours int
}

// CheckBlobs looks for blobs of this mailstore's volumes that nothing refers to, and for messages whose blob is missing. It removes
// the former only if it is told to.
func (a *Admin) CheckBlobs(ctx context.Context, in CheckBlobs) (Started, error) {
	if in.OlderThanHours == 0 {
		in.OlderThanHours = int(reclaim.OlderThanDefault.Hours())
	}
	if least := int(reclaim.OlderThanMin.Hours()); in.OlderThanHours < least || in.OlderThanHours > hoursMax {
		return Started{}, fault.New(fault.Invalid, "older_than_hours is %d; want %d to %d", in.OlderThanHours, least, hoursMax).
			WithHint("younger blobs may belong to messages that are just arriving")
	}
	if err := a.Follower.Poll(ctx); err != nil {
		return Started{}, err
	}
	volumes := a.copy.Volumes(a.Self)
	if name := strings.TrimSpace(in.Volume); name != "" {
		one, known := a.reach.volume(a.Self, name)
		if !known {
			return Started{}, a.noVolume(name)
		}
		volumes = []directory.Volume{one}
	}
	n := operation.New{Type: OperationCheckBlobs, Parameters: checkParameters{Remove: in.Remove, OlderThanHours: in.OlderThanHours}}
	for _, v := range volumes {
		for _, step := range reclaim.Steps() {
			n.Accounts, n.Decided = append(n.Accounts, v.Name+": "+step), append(n.Decided, v.Name)
		}
	}
	started, err := a.submit(ctx, n, nil)
	started.Accounts = 0 // it concerns volumes
	return started, err
}

// runCheckBlobs checks the volumes of the pending steps. What was done of one before a crash is done anew: it was kept nowhere.
func (a *Admin) runCheckBlobs(ctx context.Context, task *operation.Task) error {
	var p checkParameters
	if err := task.Parameters(&p); err != nil {
		return err
	}
	pending := map[string]map[string]operation.Item{} // by volume and name
	for _, item := range task.Pending() {
		if pending[item.Parameter] == nil {
			pending[item.Parameter] = map[string]operation.Item{}
		}
		pending[item.Parameter][item.Account] = item
	}
	for _, v := range a.copy.Volumes(a.Self) {
		items := pending[v.Name]
		if len(items) == 0 {
			continue
		}
		if err := a.checkVolume(ctx, task, p, v, items); err != nil {
			return err
		}
		delete(pending, v.Name)
	}
	for _, items := range pending {
		for _, item := range items {
			task.Failed(item, fault.New(fault.NotFound, "%s has no such volume any more", a.Self))
		}
	}
	return nil
}

// checkVolume checks one volume and keeps the report. Only then is the last step done; it fails if the check is not complete.
func (a *Admin) checkVolume(
	ctx context.Context, task *operation.Task, p checkParameters, v directory.Volume, items map[string]operation.Item,
) error {
	steps := reclaim.Steps()
	done := func(step string) {
		if item, asked := items[v.Name+": "+step]; asked && step != steps[len(steps)-1] {
			task.Succeeded(item, "")
		}
	}
	report, err := a.Blobs.Check(ctx, reclaim.Check{
		Volume: v.Name, Centralised: v.Centralised, Remove: p.Remove, OlderThan: time.Duration(p.OlderThanHours) * time.Hour,
	}, done)
	if ctx.Err() != nil {
		return fault.Wrap(fault.Interrupted, ctx.Err(), "interrupted")
	}
	if err == nil {
		err = a.keepReport(task.Operation().ID, report)
	}
	last, asked := items[v.Name+": "+steps[len(steps)-1]]
	switch {
	case err != nil:
		for _, item := range items {
			task.Failed(item, err) // no more than once each
		}
	case !asked:
	case !report.IsComplete():
		task.Failed(last, fault.New(fault.Busy, "incomplete, and nothing was removed: %s", strings.Join(report.Problems, "; ")).
			WithHint("start what is away, then check again"))
	default:
		task.Succeeded(last, "")
	}
	if err == nil {
		task.Note(summaryOf(&report))
	}
	return nil
}

func summaryOf(r *BlobReport) string {
	text := fmt.Sprintf("Volume %s: %d blobs of %d bytes. Referred to by nothing: %d of %d bytes. Removed: %d. Messages without a blob: %d.",
		r.Volume, r.Blobs.Blobs, r.Blobs.Bytes, r.Unreferenced.Blobs, r.Unreferenced.Bytes, r.Removed.Blobs, r.Missing)
	if len(r.MissingBlobs) > 0 {
		first := r.MissingBlobs[0]
		text += fmt.Sprintf(" The first is UID %d in %s of %s.", first.UID, first.Folder, first.AccountName)
	}
	return text
}

func (a *Admin) reportFile(operationID string) string {
	return filepath.Join(a.Reports, operationID+reportSuffix)
}

// keepReport adds the report of one volume to those of its operation. One that was made before a crash is replaced.
func (a *Admin) keepReport(operationID string, report BlobReport) error {
	all, err := a.readReports(operationID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	all = append(slices.DeleteFunc(all, func(r BlobReport) bool { return r.Volume == report.Volume }), report)
	text, err := json.Marshal(all)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the report cannot be written")
	}
	name := a.reportFile(operationID)
	err = errors.Join(os.MkdirAll(a.Reports, 0o700), os.WriteFile(name+".part", text, 0o600))
	if err == nil {
		err = os.Rename(name+".part", name)
	}
	if err != nil {
		return fault.Wrap(fault.DatabaseUnavailable, err, "the report of a check cannot be kept")
	}
	a.pruneReports()
	return nil
}

// pruneReports removes all but the newest reports.
func (a *Admin) pruneReports() {
	names, err := filepath.Glob(filepath.Join(a.Reports, "*"+reportSuffix))
	if err != nil || len(names) <= reportsKept {
		return
	}
	written := map[string]time.Time{}
	for _, name := range names {
		if stat, err := os.Stat(name); err == nil {
			written[name] = stat.ModTime()
		}
	}
	slices.SortFunc(names, func(x, y string) int { return cmp.Or(written[y].Compare(written[x]), cmp.Compare(x, y)) })
	for _, name := range names[reportsKept:] {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			a.Logger.Warn("an old report of a check of blobs stays", "file", name, "error", err)
		}
	}
}

func (a *Admin) readReports(operationID string) (all []BlobReport, err error) {
	text, err := os.ReadFile(a.reportFile(operationID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "%s keeps no report of the operation %s", a.Self, operationID).
			WithHint("ask the mailstore that ran it (operationHost), when it has ended; the newest %d are kept", reportsKept)
	}
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return nil, fault.Wrap(fault.DatabaseUnavailable, err, "the report of the operation %s cannot be read", operationID)
	}
	return all, nil
}

// GetBlobReport gives what the checks of an operation of this mailstore found, a volume each.
func (a *Admin) GetBlobReport(_ context.Context, id string) ([]BlobReport, error) {
	id, err := operationID(id)
	if err != nil {
		return nil, err
	}
	return a.readReports(id)
}
