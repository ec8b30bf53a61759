package admin_test

import (
	"strings"
	"testing"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/admin"
	"mailreplica/internal/admin/admintest"
	"mailreplica/internal/fault"
	"mailreplica/internal/reclaim"
)

func aReport() reclaim.Report {
	id := account.ID{1}
	return reclaim.Report{
		Problems: []string{}, Blobs: reclaim.Count{Blobs: 10, Bytes: 1000}, Unreferenced: reclaim.Count{Blobs: 2, Bytes: 200}, Missing: 1,
		UnreferencedBlobs: []reclaim.FoundBlob{{Name: strings.Repeat("0a", 16), Size: 150, Modified: time.Unix(1_790_000_000, 0).UTC()}},
		MissingBlobs:      []reclaim.MissingBlob{{AccountID: id, AccountName: "user@example.com", Folder: "INBOX", UID: 7, Blob: strings.Repeat("0b", 16)}},
	}
}

func TestCheckBlobs(t *testing.T) {
	p := admintest.Start(t, 1)
	c, m := client(t, p, 1), p.Mailstores[0]
	m.FindBlobs(aReport(), nil)
	started, err := c.CheckBlobs(t.Context(), admin.CheckBlobs{Remove: true, OlderThanHours: 30})
	must(t, err)
	op := finished(t, c, started.OperationID)
	volumes, err := c.GetAllVolumes(t.Context())
	must(t, err)
	if op.State != "successful" || op.Total != len(volumes)*len(reclaim.Steps()) || op.Done != op.Total {
		t.Errorf("got %+v for %d volumes", op, len(volumes))
	}
	for _, asked := range m.Checks() {
		if !asked.Remove || asked.OlderThan != 30*time.Hour || asked.Centralised != (asked.Volume == "blobs") {
			t.Errorf("asked %+v", asked)
		}
	}
	reports, err := c.GetBlobReport(t.Context(), started.OperationID)
	must(t, err)
	if len(reports) != len(volumes) || reports[0].Removed.Blobs != 2 || reports[0].MissingBlobs[0].UID != 7 {
		t.Errorf("got %+v", reports)
	}
	told, err := c.GetNotifications(t.Context(), "")
	must(t, err)
	if len(told) != 1 || !strings.Contains(told[0].Subject, "of 38 steps") ||
		!strings.Contains(told[0].Text, "Messages without a blob: 1. The first is UID 7 in INBOX of user@example.com.") {
		t.Errorf("told %+v", told)
	}
}

func TestCheckBlobsOfOneVolume(t *testing.T) {
	p := admintest.Start(t, 1)
	c, m := client(t, p, 1), p.Mailstores[0]
	started, err := c.CheckBlobs(t.Context(), admin.CheckBlobs{Volume: "blobs"})
	must(t, err)
	if op := finished(t, c, started.OperationID); op.State != "successful" || op.Total != len(reclaim.Steps()) {
		t.Errorf("got %+v", op)
	}
	if asked := m.Checks(); len(asked) != 1 || asked[0] != (reclaim.Check{Volume: "blobs", Centralised: true, OlderThan: reclaim.OlderThanDefault}) {
		t.Errorf("asked %+v", asked)
	}
	_, err = c.CheckBlobs(t.Context(), admin.CheckBlobs{Volume: "none"})
	wantFault(t, err, fault.NotFound, "none")
	for _, hours := range []int{-1, 23, 1_000_000} {
		_, err = c.CheckBlobs(t.Context(), admin.CheckBlobs{OlderThanHours: hours})
		wantFault(t, err, fault.Invalid, "want 24 to")
	}
	_, err = c.GetBlobReport(t.Context(), account.NewID().String())
	wantFault(t, err, fault.NotFound, "keeps no report")
}

// A check that could not ask everybody fails, and its report is kept; one that found nothing out fails with the reason.
func TestCheckBlobsFails(t *testing.T) {
	p := admintest.Start(t, 1)
	c, m := client(t, p, 1), p.Mailstores[0]
	incomplete := aReport()
	incomplete.Problems = []string{"mbox2.example.com does not say which blobs it needs"}
	m.FindBlobs(incomplete, nil)
	check := func() admin.Operation {
		started, err := c.CheckBlobs(t.Context(), admin.CheckBlobs{Volume: "blobs", Remove: true})
		must(t, err)
		return finished(t, c, started.OperationID)
	}
	op := check()
	failures, err := c.GetFailures(t.Context(), admin.GetFailures{ID: op.ID})
	must(t, err)
	if op.State != "failed" || op.Failed != 1 || !strings.Contains(failures.Values[0].Reason, "nothing was removed: mbox2") {
		t.Errorf("incomplete: got %+v with failures %+v", op, failures)
	}
	reports, err := c.GetBlobReport(t.Context(), op.ID)
	must(t, err)
	if len(reports) != 1 || reports[0].IsComplete() || reports[0].Removed.Blobs != 0 {
		t.Errorf("incomplete: got report %+v", reports)
	}
	m.FindBlobs(reclaim.Report{}, fault.New(fault.VolumeUnavailable, "the volume is away"))
	if op := check(); op.State != "failed" || op.Failed != op.Total {
		t.Errorf("away: got %+v", op)
	}
}
