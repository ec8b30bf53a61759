package broker

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mailreplica/internal/fault"
)

// An idempotent producer numbers its batches, so that a broker recognises one that is sent again because its answer was
// lost. kfake keeps the last numbers of each producer in memory, and writes them to sequencesName at a clean stop only:
// after a crash it would take what was in flight as new, and have it twice. But every batch on disk carries its numbers
// (the record batch format, version 2, of the Kafka protocol), so before kfake loads we write that file from them.
//
// The file is removed as soon as it is loaded. Left behind, it would be stale after the next crash, and kfake would
// refuse the batches of producers that went on meanwhile.
const sequencesName = "seq_windows.json"

// The formats of kfake's files. TestKilledWhileWriting fails if they change.
type (
	sequencesFile struct {
		Version int              `json:"version"`
		Windows []sequenceWindow `json:"windows"`
	}
	sequenceWindow struct {
		Producer     int64                        `json:"pid"`
		Topic        string                       `json:"topic"`
		Partition    int32                        `json:"partition"`
		Entries      [sequencesKept]sequenceEntry `json:"entries"`
		Count        uint8                        `json:"count"`
		At           uint8                        `json:"at"`
		Epoch        int16                        `json:"epoch"`
		Seen         bool                         `json:"seen"`
		NextSequence int32                        `json:"next_seq"`
	}
	sequenceEntry struct {
		FirstSequence int32 `json:"first_seq"`
		NextSequence  int32 `json:"next_seq"`
		Offset        int64 `json:"offset"`
	}
)

const (
	sequencesVersion = 1
	sequencesKept    = 5 // as many batches as a producer has in flight

	// segmentsScanned is how far back a batch that is still in flight can lie: one segment may have been begun since.
	segmentsScanned = 2
)

// rememberSequences writes the producers' sequence numbers from what is on disk, unless a clean stop has written them.
func rememberSequences(dir string) error {
	failed := func(err error) error {
		return fault.Wrap(fault.DatabaseUnavailable, err, "the broker's data in %s cannot be prepared", dir)
	}
	path := filepath.Join(dir, sequencesName)
	if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	partitions, err := os.ReadDir(filepath.Join(dir, "partitions"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was ever written
	}
	if err != nil {
		return failed(err)
	}
	file := sequencesFile{Version: sequencesVersion}
	for _, partition := range partitions {
		windows, err := windowsOf(filepath.Join(dir, "partitions", partition.Name()))
		if err != nil {
			return failed(err)
		}
		file.Windows = append(file.Windows, windows...)
	}
	content, err := json.Marshal(file)
	if err == nil {
		err = writeWhole(path, content)
	}
	if err != nil {
		return failed(err)
	}
	return nil
}

// writeWhole writes a file, or none: kfake does not start over half of one.
func writeWhole(path string, content []byte) error {
	unfinished := path + ".tmp"
	err := os.WriteFile(unfinished, content, 0o600)
	if err == nil {
		err = os.Rename(unfinished, path)
	}
	if err != nil {
		_ = os.Remove(unfinished) // it is written anew anyway
	}
	return err
}

// forgetSequences removes the file once it is loaded.
func forgetSequences(dir string) error {
	if err := os.Remove(filepath.Join(dir, sequencesName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(fault.DatabaseUnavailable, err, "the broker's data in %s cannot be changed", dir)
	}
	return nil
}

// windowsOf reads the newest segments of a partition. Its directory is named topic-partition, the topic escaped.
func windowsOf(dir string) ([]sequenceWindow, error) {
	name := filepath.Base(dir)
	cut := strings.LastIndexByte(name, '-')
	if cut < 0 {
		return nil, nil // not kfake's
	}
	partition, err := strconv.ParseInt(name[cut+1:], 10, 32)
	if err != nil {
		return nil, nil
	}
	topic, err := url.PathUnescape(name[:cut])
	if err != nil {
		return nil, nil
	}
	segments, err := newestSegments(dir)
	if err != nil {
		return nil, err
	}
	windows := make(map[int64]*sequenceWindow)
	for _, segment := range segments {
		content, err := os.ReadFile(segment)
		if err != nil {
			return nil, err
		}
		eachBatch(content, func(batch []byte) {
			producer := int64(binary.BigEndian.Uint64(batch[43:]))
			if producer < 0 {
				return
			}
			w := windows[producer]
			if w == nil {
				w = &sequenceWindow{Producer: producer, Topic: topic, Partition: int32(partition)}
				windows[producer] = w
			}
			w.push(batch)
		})
	}
	found := make([]sequenceWindow, 0, len(windows))
	for _, w := range windows {
		found = append(found, *w)
	}
	return found, nil
}

// push adds a batch as kfake does when it is written.
func (w *sequenceWindow) push(batch []byte) {
	epoch := int16(binary.BigEndian.Uint16(batch[51:]))
	entry := sequenceEntry{
		FirstSequence: int32(binary.BigEndian.Uint32(batch[53:])),
		Offset:        int64(binary.BigEndian.Uint64(batch)),
	}
	records := int64(binary.BigEndian.Uint32(batch[57:]))
	entry.NextSequence = int32((int64(entry.FirstSequence) + records) % math.MaxInt32)
	if !w.Seen || w.Epoch != epoch {
		*w = sequenceWindow{Producer: w.Producer, Topic: w.Topic, Partition: w.Partition, Epoch: epoch, Seen: true}
	}
	w.Entries[w.At] = entry
	w.At = (w.At + 1) % sequencesKept
	w.Count = min(w.Count+1, sequencesKept)
	w.NextSequence = entry.NextSequence
}

// newestSegments are the last files of a partition, oldest first. A segment is named by its first offset.
func newestSegments(dir string) ([]string, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var offsets []int64
	for _, file := range files {
		base, segment := strings.CutSuffix(file.Name(), ".dat")
		if offset, err := strconv.ParseInt(base, 10, 64); segment && err == nil {
			offsets = append(offsets, offset)
		}
	}
	slices.Sort(offsets)
	var segments []string
	for _, offset := range offsets[max(0, len(offsets)-segmentsScanned):] {
		segments = append(segments, filepath.Join(dir, strconv.FormatInt(offset, 10)+".dat"))
	}
	return segments, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// eachBatch calls fn for every data batch of a segment, up to its end or to what a crash left half written: kfake cuts
// that off when it loads.
func eachBatch(segment []byte, fn func(batch []byte)) {
	const (
		lengthEnd = 12 // first offset and length, which counts what follows it
		headerEnd = 61
		control   = 0x20
	)
	for len(segment) >= headerEnd {
		length := int64(int32(binary.BigEndian.Uint32(segment[8:])))
		if length < headerEnd-lengthEnd || lengthEnd+length > int64(len(segment)) {
			return
		}
		batch := segment[:lengthEnd+length]
		if crc32.Checksum(batch[21:], castagnoli) != binary.BigEndian.Uint32(batch[17:]) {
			return
		}
		if batch[22]&control == 0 {
			fn(batch)
		}
		segment = segment[len(batch):]
	}
}
