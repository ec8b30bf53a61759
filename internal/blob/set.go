package blob

import (
	"sync"

	"mailreplica/internal/fault"
)

// Set is the volumes that a mailstore reaches, and which of them takes new blobs. It changes while the mailstore runs: an
// operator makes volumes, and chooses another primary one. It is safe for concurrent use.
type Set struct {
	mu      sync.RWMutex
	volumes map[string]Volume // by ID
	primary string
}

// NewSet makes a set of volumes; primary is the ID of the one that takes new blobs.
func NewSet(primary string, volumes ...Volume) *Set {
	s := &Set{}
	s.Replace(primary, volumes...)
	return s
}

// Replace puts other volumes in the place of all that were there. It closes nothing: blobs may still be open.
func (s *Set) Replace(primary string, volumes ...Volume) {
	byID := make(map[string]Volume, len(volumes))
	for _, v := range volumes {
		byID[v.ID()] = v
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.volumes, s.primary = byID, primary
}

// Find gives a volume by its ID. VolumeUnavailable: the mailstore has none of that name.
func (s *Set) Find(id string) (Volume, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.find(id)
}

// Primary gives the volume that takes new blobs. VolumeUnavailable: there is none.
func (s *Set) Primary() (Volume, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.primary == "" {
		return nil, fault.New(fault.VolumeUnavailable, "this mailstore has no primary volume").
			WithHint("make one: carbonio powerstore doCreateVolume S3 NAME primary BUCKET centralized true")
	}
	return s.find(s.primary)
}

func (s *Set) find(id string) (Volume, error) {
	v, ok := s.volumes[id]
	if !ok {
		return nil, fault.New(fault.VolumeUnavailable, "this mailstore has no volume %q", id).
			WithHint("carbonio powerstore getAllVolumes shows who has it; doCreateVolume Centralized SERVER %s gives it to another", id)
	}
	return v, nil
}
