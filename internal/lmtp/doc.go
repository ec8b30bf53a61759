// Package lmtp owns mail on its way in: the LMTP server (RFC 2033) and the client with which one mailstore relays to
// another. It takes an envelope and the bytes of a message, keeps every one of them, and answers for each recipient.
//
// It knows the words of the mailbox (a delivery key, a sequence) but neither accounts' homes nor how a message is stored:
// that is Backend's. DESIGN.md says why the protocol is read here and not by a library, when a delivery counts as
// answered, and how relaying cannot loop.
package lmtp
