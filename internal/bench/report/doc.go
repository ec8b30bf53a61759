// Package report keeps what a benchmark measured, sets it out for people (Markdown with plots), and compares two of them.
//
// It must not know how anything is measured.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// Record is all that one run measured. It is kept as JSON.
type Record struct {
	Begun   time.Time `json:"begun"`
	Took    string    `json:"took"`
	Remark  string    `json:"remark,omitempty"` // by who ran it
	Machine Machine   `json:"machine"`
	Options Options   `json:"options"`
	Systems []System  `json:"systems"`
	Ratios  []Ratio   `json:"ratios"` // of the medians
}

// Machine is where it was measured.
type Machine struct {
	Processor string `json:"processor"`
	Cores     int    `json:"cores"`
	MemoryGiB int    `json:"memoryGiB"`
	Kernel    string `json:"kernel"`
	Disk      string `json:"disk"` // the kind of file system of the folder that the systems ran in
	Go        string `json:"go"`
	// What the disk did just before, one at a time, and how busy the machine was.
	SyncedFiles   float64 `json:"syncedFiles"`   // of 8 KiB, made, written and synced, per second
	SyncedAppends float64 `json:"syncedAppends"` // of 8 KiB to one file, per second
	Load          float64 `json:"load"`          // processes that wanted to run, over the minute before
}

// Options are the sizes of the load.
type Options struct {
	Rounds       int     `json:"rounds"`
	Seconds      float64 `json:"seconds"`     // of a row
	WarmSeconds  float64 `json:"warmSeconds"` // of deliveries before the first row of each system in each round
	MessageBytes int     `json:"messageBytes"`
	Accounts     int     `json:"accounts"`
	CopyMessages int     `json:"copyMessages"`
	CopyRounds   int     `json:"copyRounds"`
}

// System is what was measured of one of them.
type System struct {
	Name     string               `json:"name"`
	Title    string               `json:"title"`
	Version  string               `json:"version"`
	Settings []string             `json:"settings"`
	Figures  map[string][]float64 `json:"figures"` // by the row's key, one of each round that gave one
	Failures []string             `json:"failures,omitempty"`
}

// system finds one by its name; nil: it was not measured.
func (r *Record) system(name string) *System {
	i := slices.IndexFunc(r.Systems, func(s System) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Systems[i]
}

// Load reads a record.
func Load(path string) (Record, error) {
	var r Record
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return r, fmt.Errorf("the record %s cannot be read: %w", path, err)
	}
	return r, nil
}

// Save writes a record.
func (r *Record) Save(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, append(text, '\n'), 0o644); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return os.Rename(temporary, path)
}

// Summary is what is told of the figures of several rounds.
type Summary struct{ Median, Low, High float64 }

// Summarise gives false when there is none.
func Summarise(figures []float64) (Summary, bool) {
	if len(figures) == 0 {
		return Summary{}, false
	}
	sorted := slices.Sorted(slices.Values(figures))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return Summary{median, sorted[0], sorted[len(sorted)-1]}, true
}
