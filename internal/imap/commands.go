package imap

import "mailreplica/internal/imap/wire"

// state is when a command may be given.
type state int

const (
	always state = iota
	beforeLogin
	afterLogin
	whileSelected
)

// syncing is what a command may tell of the selected folder before its tagged response.
type syncing int

const (
	syncNothing syncing = iota
	syncFlags           // not EXPUNGE: sequence numbers must stay (RFC 3501 section 7.4.1)
	syncAll
)

// command is how a command is run.
type command struct {
	state state
	sync  syncing
	run   func(*session, *wire.Command) (outcome, error)
}

// outcome is the tagged response to a command.
type outcome struct {
	status     wire.ResponseStatus // empty is OK
	code, text string
	answered   bool // there is nothing more to say
	ends       bool // the session ends
}

var commands = map[string]command{
	"CAPABILITY": {always, syncNothing, (*session).capability},
	"NOOP":       {always, syncAll, (*session).noop},
	"LOGOUT":     {always, syncNothing, (*session).logout},
	"ID":         {always, syncNothing, (*session).id},

	"STARTTLS":     {beforeLogin, syncNothing, (*session).startTLS},
	"AUTHENTICATE": {beforeLogin, syncNothing, (*session).authenticate},
	"LOGIN":        {beforeLogin, syncNothing, (*session).login},

	"ENABLE":      {afterLogin, syncNothing, (*session).enable},
	"SELECT":      {afterLogin, syncNothing, (*session).selectFolder},
	"EXAMINE":     {afterLogin, syncNothing, (*session).selectFolder},
	"CREATE":      {afterLogin, syncAll, (*session).create},
	"DELETE":      {afterLogin, syncAll, (*session).deleteFolder},
	"RENAME":      {afterLogin, syncAll, (*session).rename},
	"SUBSCRIBE":   {afterLogin, syncAll, (*session).subscribe},
	"UNSUBSCRIBE": {afterLogin, syncAll, (*session).unsubscribe},
	"LIST":        {afterLogin, syncAll, (*session).list},
	"LSUB":        {afterLogin, syncAll, (*session).lsub},
	"STATUS":      {afterLogin, syncAll, (*session).status},
	"NAMESPACE":   {afterLogin, syncAll, (*session).namespace},
	"APPEND":      {afterLogin, syncAll, (*session).append},
	"IDLE":        {afterLogin, syncAll, (*session).idle},

	"CHECK":       {whileSelected, syncAll, (*session).noop},
	"CLOSE":       {whileSelected, syncNothing, (*session).closeFolder},
	"UNSELECT":    {whileSelected, syncNothing, (*session).unselect},
	"EXPUNGE":     {whileSelected, syncAll, (*session).expunge},
	"UID EXPUNGE": {whileSelected, syncAll, (*session).expunge},
	"SEARCH":      {whileSelected, syncFlags, (*session).search},
	"UID SEARCH":  {whileSelected, syncAll, (*session).search},
	"FETCH":       {whileSelected, syncFlags, (*session).fetch},
	"UID FETCH":   {whileSelected, syncAll, (*session).fetch},
	"STORE":       {whileSelected, syncFlags, (*session).store},
	"UID STORE":   {whileSelected, syncAll, (*session).store},
	"COPY":        {whileSelected, syncAll, (*session).copyMessages},
	"UID COPY":    {whileSelected, syncAll, (*session).copyMessages},
	"MOVE":        {whileSelected, syncAll, (*session).moveMessages},
	"UID MOVE":    {whileSelected, syncAll, (*session).moveMessages},
}

// missingCode is the response code when a folder that the command names does not exist.
func missingCode(name string) string {
	switch name {
	case "APPEND", "COPY", "UID COPY", "MOVE", "UID MOVE":
		return "TRYCREATE"
	}
	return ""
}

func (s *session) capability(*wire.Command) (outcome, error) {
	s.out.Untagged("CAPABILITY " + s.capabilities())
	return outcome{text: "Capabilities listed"}, nil
}

func (s *session) noop(*wire.Command) (outcome, error) {
	return outcome{text: "Done"}, nil
}

func (s *session) logout(*wire.Command) (outcome, error) {
	s.out.Bye("", "Logging out")
	return outcome{text: "Logged out", ends: true}, nil
}

// id answers ID (RFC 2971). What the client says of itself is not looked at.
func (s *session) id(*wire.Command) (outcome, error) {
	s.out.Raw("* ID (\"name\" \"Mailreplica\"")
	if version := s.server.config.Version; version != "" {
		s.out.Raw(" \"version\" ")
		s.out.String(version)
	}
	s.out.Raw(")")
	s.out.CRLF()
	return outcome{text: "Pleased to meet you"}, nil
}

func (s *session) namespace(*wire.Command) (outcome, error) {
	s.out.Untagged(`NAMESPACE (("" "/")) NIL NIL`)
	return outcome{text: "Namespaces listed"}, nil
}
