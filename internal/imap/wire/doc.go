// Package wire owns the grammar of IMAP (RFC 3501 and the extensions this server announces): it reads client commands
// into typed Go values and writes responses. It knows no session, no mailbox, no store and no state of either.
//
// Reading has two steps. The framing (reader.go, line.go) finds where a command ends, by line ends and announced
// literals alone, and applies every limit; the parsers work on a whole framed command in memory. So whatever is wrong
// with a command, the next byte read after it is the first byte of the next command, and the content of a literal is
// never taken for a command. APPEND alone is framed message by message (append.go), so that messages are streamed.
package wire
