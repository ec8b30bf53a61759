package lmtp

import (
	"crypto/subtle"
	"encoding/hex"
	"strconv"
	"strings"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

// The commands that only another mailstore may use.
const (
	// verbMark marks the session as relayed: XMAILREPLICA TOKEN=… HELO=… ADDR=… PROTO=LMTP|LMTPS BY=…, values in xtext.
	// It may be repeated between transactions, for another client. Without the token that mailstores share it ends the
	// session, so that nothing which follows is taken for unmarked mail.
	verbMark = "XMAILREPLICA"
	// verbAnswered says that the client of a relayed delivery has been answered: XANSWERED account key sequence.
	verbAnswered = "XANSWERED"
)

// mark is verbMark.
func (s *session) mark(argument string) {
	values, ok := markValues(argument)
	want := s.server.config.Token
	if !ok || want == "" || subtle.ConstantTimeCompare([]byte(values["TOKEN"]), []byte(want)) != 1 {
		s.log.Warn("a session was not marked as relayed: the token is wrong", "remote", s.raw.RemoteAddr())
		s.reply(421, "4.7.0", "The token is wrong")
		s.ended = true
		return
	}
	if s.helo == "" || s.mail != nil {
		s.reject(503, "5.5.1", "Not now")
		return
	}
	s.relayed = true
	s.client = Client{
		HELO: values["HELO"], Addr: values["ADDR"], TLS: values["PROTO"] == "LMTPS", Frontend: values["BY"],
	}
	s.reply(250, "2.0.0", "OK")
}

func markValues(argument string) (map[string]string, bool) {
	values := map[string]string{}
	for _, p := range parseParameters(argument) {
		value, ok := decodeXtext(p.value)
		if !ok {
			return nil, false
		}
		values[p.name] = value
	}
	return values, true
}

func markCommand(token string, c Client, by string) string {
	proto := "LMTP"
	if c.TLS {
		proto = "LMTPS"
	}
	return verbMark + " TOKEN=" + encodeXtext(token) + " HELO=" + encodeXtext(c.HELO) + " ADDR=" + encodeXtext(c.Addr) +
		" PROTO=" + proto + " BY=" + encodeXtext(by)
}

// answered is verbAnswered.
func (s *session) answered(argument string) {
	if !s.relayed {
		s.reject(500, "5.5.1", "The command is not known")
		return
	}
	receipt, ok := parseReceipt(argument)
	if !ok {
		s.reject(501, "5.5.4", "Want XANSWERED account key sequence")
		return
	}
	s.server.config.Backend.Answered([]Receipt{receipt}, true)
	s.reply(250, "2.0.0", "OK")
}

func parseReceipt(s string) (r Receipt, ok bool) {
	fields := strings.Fields(s)
	if len(fields) != 3 || hex.DecodedLen(len(fields[1])) != len(r.Key) {
		return r, false
	}
	id, err := account.ParseID(fields[0])
	if err != nil {
		return r, false
	}
	if _, err := hex.Decode(r.Key[:], []byte(fields[1])); err != nil {
		return r, false
	}
	sequence, err := strconv.ParseUint(fields[2], 10, 63)
	r.Account, r.Sequence = id, mailbox.Sequence(sequence)
	return r, err == nil
}

func answeredCommand(r Receipt) string {
	return verbAnswered + " " + r.Account.String() + " " + hex.EncodeToString(r.Key[:]) + " " +
		strconv.FormatUint(uint64(r.Sequence), 10)
}

// encodeKind tells an error to another mailstore: its kind in brackets, then its message.
func encodeKind(err error) string {
	return "[" + fault.KindOf(err).String() + "] " + fault.Message(err)
}

// decodeKind is the inverse, for the text of a reply. A reply without a kind is none of a backend.
func decodeKind(text string) (*fault.Error, bool) {
	text, bracketed := strings.CutPrefix(text, "[")
	name, message, closed := strings.Cut(text, "] ")
	if !bracketed || !closed {
		return nil, false
	}
	return fault.New(fault.ParseKind(name), "%s", message), true
}
