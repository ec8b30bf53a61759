package traffic

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"mailreplica/internal/mailbox"
	"mailreplica/internal/robustness/model"
	"mailreplica/internal/sim/check"
)

// Session is an IMAP session: go-imap's client, with a bound on every command.
type Session struct {
	*imapclient.Client
	conn    net.Conn
	traffic *Traffic // nil: of nobody at work
}

// unhurried keeps the client's own time-outs out: the bound is ours.
type unhurried struct{ net.Conn }

// SetReadDeadline does nothing.
func (unhurried) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (unhurried) SetWriteDeadline(time.Time) error { return nil }

// Login begins a session.
func Login(address string, a Account) (*Session, error) { return login(nil, address, a) }

func login(t *Traffic, address string, a Account) (*Session, error) {
	conn, err := net.DialTimeout("tcp", address, dialWait)
	if err != nil {
		return nil, err
	}
	s := &Session{imapclient.New(unhurried{conn}, nil), conn, t}
	err = s.within(func() error { return s.Client.Login(a.Name, a.Password).Wait() })
	if err != nil {
		s.Leave()
		return nil, err
	}
	return s, nil
}

// Leave ends the session at once.
func (s *Session) Leave() { _ = s.Client.Close() }

// within breaks the connection if something takes longer than it may.
func (s *Session) within(do func() error) error {
	defer s.traffic.hurry(s.conn)()
	return do()
}

// Look sees all of the mailbox: the header of every message, or with whole each body, which has to be that of its mail.
func (s *Session) Look(whole bool) (v *check.View, err error) {
	err = s.within(func() error {
		v, err = s.look(whole)
		return err
	})
	return v, err
}

func (s *Session) look(whole bool) (*check.View, error) {
	v := &check.View{Begun: time.Now(), Rows: map[check.Place]check.Row{}, Folders: map[mailbox.ItemID]check.Folder{}}
	folders, err := s.List("", "*", nil).Collect()
	if err != nil {
		return nil, err
	}
	for _, f := range folders {
		err := s.lookAt(f.Mailbox, whole, v)
		if hasCode(err, imap.ResponseCodeNonExistent) {
			continue // it has just been removed, or renamed
		}
		if err != nil {
			return nil, err
		}
	}
	v.Ended = time.Now()
	return v, nil
}

func (s *Session) lookAt(name string, whole bool, v *check.View) error {
	selected, err := s.Select(name, &imap.SelectOptions{CondStore: true}).Wait()
	if err != nil {
		return err
	}
	id := mailbox.ItemID(selected.UIDValidity)
	v.Folders[id] = check.Folder{ID: id, Name: name, UIDValidity: selected.UIDValidity, UIDNext: mailbox.UID(selected.UIDNext)}
	if selected.NumMessages == 0 {
		return nil
	}
	section := &imap.FetchItemBodySection{Peek: true}
	if !whole {
		section.Specifier, section.HeaderFields = imap.PartSpecifierHeader, []string{numberHeader}
	}
	everything := imap.UIDSet{imap.UIDRange{Start: 1, Stop: 0}}
	messages, err := s.Fetch(everything, &imap.FetchOptions{UID: true, Flags: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil {
		return err
	}
	for _, m := range messages {
		text := m.FindBodySection(section)
		if m.UID == 0 || text == nil {
			continue // another session's change of flags; one that is gone meanwhile
		}
		if whole && !isWhole(text) {
			return fmt.Errorf("UID %d of %s is %q, which is no mail that was sent", m.UID, name, text[:min(len(text), 200)])
		}
		p := check.Place{Folder: id, UID: mailbox.UID(m.UID)}
		v.Rows[p] = check.Row{Place: p, Blob: model.Blob(numberOf(text)), Keywords: keywords(m.Flags)}
	}
	return nil
}

func keywords(flags []imap.Flag) (all []string) {
	for _, f := range flags {
		if strings.HasPrefix(string(f), "k") {
			all = append(all, string(f))
		}
	}
	slices.Sort(all)
	return all
}

func hasCode(err error, codes ...imap.ResponseCode) bool {
	var answer *imap.Error
	return errors.As(err, &answer) && slices.Contains(codes, answer.Code)
}

// refusals say that nothing was done, and nothing ever will be.
var refusals = []imap.ResponseCode{
	imap.ResponseCodeNonExistent, imap.ResponseCodeTryCreate, imap.ResponseCodeAlreadyExists, imap.ResponseCodeCannot, imap.ResponseCodeHasChildren,
}

// outcome is what an answer says of an operation, and whether it is one that must never be given.
func outcome(err error) (o check.Outcome, odd bool) {
	var answer *imap.Error
	switch {
	case err == nil:
		return check.Done, false
	case hasCode(err, refusals...):
		return check.Refused, false
	case errors.As(err, &answer) && answer.Type != imap.StatusResponseTypeBye:
		return check.Unknown, answer.Type != imap.StatusResponseTypeNo || answer.Code != imap.ResponseCodeUnavailable
	}
	return check.Unknown, false
}
