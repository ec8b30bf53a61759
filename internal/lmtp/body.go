package lmtp

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"
	"os"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

// bodyMemoryBytesMax is how much of a message is kept in memory; a larger one goes to a file.
const bodyMemoryBytesMax = 1 << 20

// Body is a message as it was received, after the transparency of RFC 5321 section 4.5.2 was undone. It may be read by
// several goroutines at once.
type Body struct {
	memory []byte
	file   *os.File // nil: all is in memory
	size   int64
	hash   [sha256.Size]byte
}

// NewBody makes a message of bytes, which must not be altered.
func NewBody(data []byte) *Body {
	return &Body{memory: data, size: int64(len(data)), hash: sha256.Sum256(data)}
}

// Size is in bytes.
func (b *Body) Size() int64 { return b.size }

// Reader reads the message from its start.
func (b *Body) Reader() io.Reader {
	if b.file == nil {
		return bytes.NewReader(b.memory)
	}
	return io.NewSectionReader(b.file, 0, b.size)
}

// Close gives up the file, if there is one.
func (b *Body) Close() {
	if b.file != nil {
		_ = b.file.Close() // it has no name any more
	}
}

// keyDomain keeps these hashes apart from any others.
const keyDomain = "mailreplica delivery key 1\n"

// Key is the delivery key of the mail for a recipient (design section 4): a hash of the envelope's sender, the account's
// name, and DATA as received. Nothing in it depends on the mailstore that took the mail, so a repeat is recognised
// whichever way it comes. DATA goes in as its own hash and length, so that it is hashed once for all recipients.
func (m *Mail) Key(r Recipient) mailbox.DeliveryKey {
	key := []byte(keyDomain)
	key = binary.BigEndian.AppendUint64(key, uint64(len(m.Sender)))
	key = append(key, m.Sender...)
	key = binary.BigEndian.AppendUint64(key, uint64(len(r.Name)))
	key = append(key, r.Name...)
	key = binary.BigEndian.AppendUint64(key, uint64(m.Body.size))
	key = append(key, m.Body.hash[:]...)
	return sha256.Sum256(key)
}

// spool takes a message in. It never refuses a byte, since what a client sends after a failure is still its message and
// must not be read as commands: it remembers the failure and forgets the bytes.
type spool struct {
	dir      string
	bytesMax int64
	memory   bytes.Buffer
	file     *os.File
	size     int64
	hash     hash.Hash
	problem  error
}

func newSpool(dir string, bytesMax int64) *spool {
	return &spool{dir: dir, bytesMax: bytesMax, hash: sha256.New()}
}

// Write implements io.Writer; it never fails.
func (s *spool) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	if s.problem != nil {
		return len(p), nil
	}
	if s.size > s.bytesMax {
		s.fail(fault.New(fault.TooLarge, "the message is larger than %d bytes", s.bytesMax))
		return len(p), nil
	}
	_, _ = s.hash.Write(p) // a hash never fails
	if err := s.keep(p); err != nil {
		s.fail(fault.Wrap(fault.VolumeUnavailable, err, "there is no room for the message now"))
	}
	return len(p), nil
}

func (s *spool) keep(p []byte) error {
	if s.file == nil && s.size <= bodyMemoryBytesMax {
		_, err := s.memory.Write(p)
		return err
	}
	if s.file == nil {
		if err := s.spill(); err != nil {
			return err
		}
	}
	_, err := s.file.Write(p)
	return err
}

// spill moves to a file without a name, so that nothing is left behind when the process is killed.
func (s *spool) spill() error {
	file, err := os.CreateTemp(s.dir, "lmtp-*")
	if err != nil {
		return err
	}
	s.file = file
	if err := os.Remove(file.Name()); err != nil {
		return err
	}
	_, err = s.memory.WriteTo(file)
	s.memory = bytes.Buffer{}
	return err
}

func (s *spool) fail(err error) {
	s.problem = err
	s.discard()
}

// discard gives up what was taken in.
func (s *spool) discard() {
	s.memory = bytes.Buffer{}
	if s.file != nil {
		_ = s.file.Close() // nobody wants its bytes
		s.file = nil
	}
}

// body ends the spool. The body must be closed.
func (s *spool) body() (*Body, error) {
	if s.problem != nil {
		return nil, s.problem
	}
	b := &Body{memory: s.memory.Bytes(), file: s.file, size: s.size}
	s.hash.Sum(b.hash[:0])
	return b, nil
}
