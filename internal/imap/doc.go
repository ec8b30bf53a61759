// Package imap owns the mailstore's IMAP server: sessions, the view that a session has of a folder, and the commands of
// IMAP4rev1 (RFC 3501) with the extensions that the capability line names.
//
// It knows grammar through imap/wire, mailboxes through the Backend interfaces below, and messages through package
// message. It must not know the log, SQL, volumes or the directory: which mailstore is an account's home, and whether a
// change is durable, is decided behind Backend.
package imap
