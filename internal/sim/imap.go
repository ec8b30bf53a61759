package sim

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"mailreplica/internal/mailbox"
)

// imapSession is one IMAP connection: commands one after another, and the lines that come.
type imapSession struct {
	conn  net.Conn
	lines chan string // closed when the connection has ended
	tag   int
	heard func(untagged string) // every untagged response
}

const (
	imapWait       = 2 * time.Minute // for the answer to a command
	imapLinesAhead = 4_096
)

// openIMAP begins a session and takes the greeting.
func openIMAP(conn net.Conn, heard func(string)) (*imapSession, error) {
	s := &imapSession{conn: conn, lines: make(chan string, imapLinesAhead), heard: heard}
	go func() {
		defer close(s.lines)
		in := bufio.NewReader(conn)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			s.lines <- strings.TrimRight(line, "\r\n")
		}
	}()
	_, err := s.next(imapWait)
	return s, err
}

func (s *imapSession) close() {
	_ = s.conn.Close()
	for range s.lines { // whoever reads must come to its end
	}
}

// answer is a tagged response that is not OK.
type answer struct{ text string }

// Error implements error.
func (a answer) Error() string { return a.text }

// next is the next line, or errLate.
func (s *imapSession) next(wait time.Duration) (string, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case line, open := <-s.lines:
		if !open {
			return "", net.ErrClosed
		}
		return line, nil
	case <-timer.C:
		return "", errLate
	}
}

var errLate = fmt.Errorf("nothing came in time")

// do gives a command, with a literal at its end if there is one, and takes the responses up to the tagged one, whose text it returns.
func (s *imapSession) do(command, literal string) (string, error) {
	s.tag++
	tag := fmt.Sprintf("a%d", s.tag)
	text := tag + " " + command
	if literal != "" {
		text += fmt.Sprintf(" {%d+}\r\n%s", len(literal), literal)
	}
	if _, err := s.conn.Write([]byte(text + "\r\n")); err != nil {
		return "", err
	}
	return s.ends(tag)
}

func (s *imapSession) ends(tag string) (string, error) {
	for {
		line, err := s.next(imapWait)
		if err != nil {
			return "", err
		}
		text, tagged := strings.CutPrefix(line, tag+" ")
		switch {
		case !tagged:
			s.heard(line)
		case strings.HasPrefix(text, "OK"):
			return text, nil
		default:
			return "", answer{text}
		}
	}
}

// idle waits for a time, taking what is told meanwhile.
func (s *imapSession) idle(ctx context.Context, d time.Duration) error {
	s.tag++
	tag := fmt.Sprintf("a%d", s.tag)
	if _, err := s.conn.Write([]byte(tag + " IDLE\r\n")); err != nil {
		return err
	}
	for end := time.Now().Add(d); ctx.Err() == nil; {
		line, err := s.next(time.Until(end))
		if err == errLate {
			break
		}
		if err != nil {
			return err
		}
		if text, tagged := strings.CutPrefix(line, tag+" "); tagged {
			return answer{text}
		}
		s.heard(line)
	}
	if _, err := s.conn.Write([]byte("DONE\r\n")); err != nil {
		return err
	}
	_, err := s.ends(tag)
	return err
}

var (
	fetched  = regexp.MustCompile(`^\* \d+ FETCH \((.*)\)$`)
	vanished = regexp.MustCompile(`^\* VANISHED (?:\(EARLIER\) )?([0-9:,]+)$`)
	uidItem  = regexp.MustCompile(`\bUID (\d+)`)
	modItem  = regexp.MustCompile(`\bMODSEQ \((\d+)\)`)
	flagItem = regexp.MustCompile(`\bFLAGS \(([^)]*)\)`)
	code     = regexp.MustCompile(`\[([A-Z]+) (\d+)(?: (\d+))?\]`)
)

// numberIn is the number behind an item of a response.
func numberIn(item *regexp.Regexp, text string) (n uint64, found bool) {
	m := item.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseUint(m[1], 10, 64)
	return n, err == nil
}

// uidsIn reads a set of UIDs.
func uidsIn(set string) (all []mailbox.UID) {
	for part := range strings.SplitSeq(set, ",") {
		first, last, isRange := strings.Cut(part, ":")
		from, _ := strconv.ParseUint(first, 10, 32)
		to := from
		if isRange {
			to, _ = strconv.ParseUint(last, 10, 32)
		}
		for ; from <= to; from++ {
			all = append(all, mailbox.UID(from))
		}
	}
	return all
}

func setOf(uids []mailbox.UID) string {
	var all []string
	for _, uid := range uids {
		all = append(all, fmt.Sprint(uid))
	}
	return strings.Join(all, ",")
}
