package message

// Limits of what is taken from one message. Beyond them the parser goes on and the message is stored as it is; only the
// summary says less. They are also what Decode accepts.
const (
	partsMax            = 4096             // then boundaries are no longer looked for: the rest belongs to the part it is met in
	nestingPartsMax     = 100              // depth of parts in parts; a multipart or message below is application/octet-stream
	addressesMax        = 8192             // of the whole message, embedded ones included
	paramsMax           = 100              // of one header field
	paramValueBytesMax  = 4 << 10          // then the value is cut
	tokenBytesMax       = 127              // of a type, an encoding, a parameter's name (RFC 4288 4.2 allows 127)
	dateBytesMax        = 128              // of a Date header that is understood
	languagesMax        = 32               // of one Content-Language
	boundaryBytesMax    = 256              // RFC 2046 allows 70; beyond this limit a multipart is not opened
	fieldBytesMax       = 128 << 10        // of one header field's value; the rest is not looked at
	headerFieldsMax     = 10_000           // of one header; later ones are not looked at
	headerTextBytesMax  = 512 << 10        // of the fields looked at in one header
	textBytesMax        = 512 << 10        // of all text kept of a message; then as if partsMax were reached
	encodedBytesMax     = 2 << 20          // of an encoded summary
	decodedPartsMax     = 2 * partsMax     // each multipart without parts is given one
	decodedAddressesMax = addressesMax + 2 // the last one may bring the end of its group
	messageBytesMax     = 1 << 50          // plausibility of stored offsets
	readBufferBytes     = 16 << 10
	wordBytesMax        = 64 << 10 // of one decoded RFC 2047 word
	whitespaceBytesHeld = 1 << 10  // of a run of blanks in quoted-printable that may turn out to end its line
)
