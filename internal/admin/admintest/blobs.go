package admintest

import (
	"context"
	"time"

	"mailreplica/internal/reclaim"
)

// FindBlobs makes checks of the mailstore's volumes find something, or fail.
func (m *Mailstore) FindBlobs(report reclaim.Report, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.found, m.findErr = report, err
}

// Checks are the checks that were asked for.
func (m *Mailstore) Checks() []reclaim.Check {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.checks
}

// Check implements admin.BlobChecker: it finds what the test says.
func (m *Mailstore) Check(_ context.Context, asked reclaim.Check, progress func(step string)) (reclaim.Report, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.checks = append(m.checks, asked)
	if m.findErr != nil {
		return reclaim.Report{}, m.findErr
	}
	for _, step := range reclaim.Steps() {
		progress(step)
	}
	r := m.found
	r.Volume, r.Mailstore = asked.Volume, m.FQDN
	r.Begun = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	r.Ended = r.Begun.Add(time.Minute)
	if asked.Remove && r.IsComplete() {
		r.Removed = r.Unreferenced
	}
	return r, nil
}
