package event

import "mailreplica/internal/mailbox"

// Limits of the encoding.
const (
	partBytesMax   = 900 << 10 // payload of one record, below the default message.max.bytes of Kafka
	changeBytesMax = 256 << 20 // all parts of one transaction
)

// PartBytesMax is the largest payload of one record, in bytes.
const PartBytesMax = partBytesMax

// ChangeBytesMax bounds an encoded change over all its parts, in bytes.
const ChangeBytesMax = changeBytesMax

var _ = mailbox.Change{}
