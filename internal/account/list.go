package account

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"strings"

	"mailreplica/internal/fault"
)

// Limits of the lists in which an operator names accounts.
const (
	ListEntriesMax   = 1_000_000 // lines of a file that name an account, or entries of an argument
	ListLineBytesMax = 1024      // of one line, blanks and comment included
)

// ParseEntry reads one entry of a list, a name or an id, and gives its one spelling. Patterns are Invalid.
func ParseEntry(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", fault.New(fault.Invalid, "a name or an id is missing")
	}
	if id, err := ParseID(s); err == nil {
		return id.String(), nil
	}
	if !IsPattern(s) && !strings.Contains(s, "@") {
		return "", fault.New(fault.Invalid, "%.100q is neither a name (local@domain) nor an id", s)
	}
	return ParseName(s)
}

// ParseList reads the names and ids of a command's argument: a@example.com,b@example.com. Blanks around an entry do not
// count, an entry named twice is given once, in its first place. A list without an entry is Invalid.
func ParseList(s string) ([]string, error) {
	if strings.TrimSpace(s) == "" {
		return nil, fault.New(fault.Invalid, "the list of accounts is empty")
	}
	var list entries
	for part := range strings.SplitSeq(s, ",") {
		entry, err := ParseEntry(part)
		if err != nil {
			return nil, err
		}
		if err := list.add(entry); err != nil {
			return nil, err
		}
	}
	return list.values, nil
}

// ReadListFile reads the list in the file at path, as ReadList does.
func ReadListFile(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	return ReadList(path, f)
}

// ReadList reads names and ids from r, one a line. Blank lines and lines that start with # do not count; a byte order
// mark and CRLF are as good as nothing and LF. Errors are Invalid, and name the file as name, and the line. A file
// without an entry is Invalid: no command means "none".
func ReadList(name string, r io.Reader) ([]string, error) {
	var list entries
	lines := bufio.NewReaderSize(r, ListLineBytesMax+2)
	for number := 1; ; number++ {
		raw, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) || len(bytes.TrimRight(raw, "\r\n")) > ListLineBytesMax {
			return nil, fault.New(fault.Invalid, "%s line %d: more than %d bytes", name, number, ListLineBytesMax)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, unreadable(name, err)
		}
		if addErr := list.addLine(raw, number); addErr != nil {
			return nil, fault.New(fault.KindOf(addErr), "%s line %d: %s", name, number, fault.Message(addErr))
		}
		if err != nil {
			break
		}
	}
	if len(list.values) == 0 {
		return nil, fault.New(fault.Invalid, "%s names no account", name)
	}
	return list.values, nil
}

// entries keeps what a list names, each once, in the order in which it was named.
type entries struct {
	values []string
	seen   map[string]struct{}
}

func (e *entries) addLine(raw []byte, number int) error {
	if number == 1 {
		raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	}
	line := strings.TrimSpace(string(raw))
	if line == "" || strings.HasPrefix(line, "#") {
		return nil
	}
	entry, err := ParseEntry(line)
	if err != nil {
		return err
	}
	return e.add(entry)
}

func (e *entries) add(entry string) error {
	if _, twice := e.seen[entry]; twice {
		return nil
	}
	if len(e.values) == ListEntriesMax {
		return fault.New(fault.TooLarge, "more than %d accounts", ListEntriesMax)
	}
	if e.seen == nil {
		e.seen = make(map[string]struct{})
	}
	e.seen[entry] = struct{}{}
	e.values = append(e.values, entry)
	return nil
}

// unreadable turns a failure to read a file into one line that an operator can act on.
func unreadable(path string, err error) error {
	reason := "it cannot be read"
	switch {
	case errors.Is(err, os.ErrNotExist):
		reason = "there is no such file"
	case errors.Is(err, os.ErrPermission):
		reason = "it may not be read by this user"
	}
	return fault.Wrap(fault.Invalid, err, "input file %s: %s", path, reason)
}
