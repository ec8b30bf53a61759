package reclaim

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/peer"
)

const (
	spoolFiles   = 256 // one for each first byte of a name: each is read into memory whole
	spoolPattern = "check-blobs-"
	spoolRecord  = 16 + 16 + 8 + 1
	spoolBuffer  = 16 << 10
)

// spool keeps references on disk, by the first byte of the blob's name. They come in no order and may be hundreds of millions.
type spool struct {
	folder string
	files  [spoolFiles]*os.File
	out    [spoolFiles]*bufio.Writer
}

func newSpool(in string) (*spool, error) {
	if err := os.MkdirAll(in, 0o700); err != nil {
		return nil, spoolError(err)
	}
	folder, err := os.MkdirTemp(in, spoolPattern)
	if err != nil {
		return nil, spoolError(err)
	}
	s := &spool{folder: folder}
	for i := range s.files {
		if s.files[i], err = os.OpenFile(filepath.Join(folder, fmt.Sprintf("%02x", i)), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600); err != nil {
			s.close()
			return nil, spoolError(err)
		}
		s.out[i] = bufio.NewWriterSize(s.files[i], spoolBuffer)
	}
	return s, nil
}

func spoolError(err error) error {
	return fault.Wrap(fault.DatabaseUnavailable, err, "the references to blobs cannot be kept on disk").
		WithHint("free space on the disk of the mailstore's data: it takes 41 bytes for each message and copy")
}

// add keeps one reference.
func (s *spool) add(r peer.Reference) error {
	var b [spoolRecord]byte
	copy(b[:16], r.Blob[:])
	copy(b[16:32], r.Account[:])
	binary.BigEndian.PutUint64(b[32:40], uint64(r.Content))
	if r.Discarded {
		b[40] = 1
	}
	if _, err := s.out[r.Blob[0]].Write(b[:]); err != nil {
		return spoolError(err)
	}
	return nil
}

func (s *spool) flush() error {
	for _, out := range s.out {
		if err := out.Flush(); err != nil {
			return spoolError(err)
		}
	}
	return nil
}

// read gives the references of one file by blob. Of several to one blob, which its copies have, one that is not discarded counts.
func (s *spool) read(file int) (map[[16]byte]*named, error) {
	if _, err := s.files[file].Seek(0, io.SeekStart); err != nil {
		return nil, spoolError(err)
	}
	in := bufio.NewReaderSize(s.files[file], 256<<10)
	refs := map[[16]byte]*named{}
	for {
		var b [spoolRecord]byte
		_, err := io.ReadFull(in, b[:])
		if errors.Is(err, io.EOF) {
			return refs, nil
		}
		if err != nil {
			return nil, spoolError(err)
		}
		r := peer.Reference{
			Blob: [16]byte(b[:16]), Account: account.ID(b[16:32]), Content: mailbox.ItemID(binary.BigEndian.Uint64(b[32:40])), Discarded: b[40] != 0,
		}
		if n := refs[r.Blob]; n == nil {
			refs[r.Blob] = &named{ref: r}
		} else if n.ref.Discarded {
			n.ref = r
		}
	}
}

// close removes the files.
func (s *spool) close() {
	for _, f := range s.files {
		if f != nil {
			_ = f.Close() // it is removed
		}
	}
	_ = os.RemoveAll(s.folder) // the next start tries again
}

// removeSpools removes what a process that died has left.
func removeSpools(in string, logger *slog.Logger) {
	left, err := filepath.Glob(filepath.Join(in, spoolPattern+"*"))
	for _, folder := range left {
		err = errors.Join(err, os.RemoveAll(folder))
	}
	if err != nil {
		logger.Warn("temporary files of a check of blobs cannot be removed", "folder", in, "error", err)
	}
}
