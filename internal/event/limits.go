package event

// Limits of the encoding. A record that passes one is refused by the writer and by every reader alike.
const (
	// PartBytesMax is the largest payload of one record, in bytes: below the default message.max.bytes of Kafka.
	PartBytesMax = 900 << 10
	// ChangeBytesMax bounds an encoded change over all its parts, in bytes.
	ChangeBytesMax = 256 << 20
	// ChangeUIDsMax bounds the UIDs that the effects of one change list, for a few bytes can name them all.
	ChangeUIDsMax = 8 << 20

	partsMax         = (ChangeBytesMax + PartBytesMax - 1) / PartBytesMax
	fqdnBytesMax     = 255
	operationBytes   = 36 // a UUID in its canonical form
	textBytesMax     = 64 << 10
	keywordsMax      = 64 << 10 // of one message
	summaryBytesMax  = 64 << 20
	changeVersion    = 1
	recordVersion    = 1
	sequenceBitsMax  = 63
	changeBytesGuess = 1 << 10
	effectBytesMin   = 2 // its tag and a number: what a change of many effects costs its reader is bounded by its bytes
)
