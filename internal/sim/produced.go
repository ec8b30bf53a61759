package sim

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kmsg"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
)

// produceRequest reads a request to the broker, nil if it is none that appends. correlation is what its answer names it by.
func produceRequest(request []byte) (produce *kmsg.ProduceRequest, correlation uint32) {
	const header = 4 + 2 + 2 + 4 // size, key, version, correlation
	if len(request) < header+2 {
		return nil, 0
	}
	produce = kmsg.NewPtrProduceRequest()
	if int16(binary.BigEndian.Uint16(request[4:])) != produce.Key() {
		return nil, 0
	}
	produce.SetVersion(int16(binary.BigEndian.Uint16(request[6:])))
	client := max(0, int(int16(binary.BigEndian.Uint16(request[header:])))) // its name is no compact one
	at := header + 2 + client
	if produce.IsFlexible() {
		at++ // no tags
	}
	if at > len(request) || produce.ReadFrom(request[at:]) != nil {
		return nil, 0
	}
	return produce, binary.BigEndian.Uint32(request[8:])
}

// produced gives the records that a request to the broker appends, none for any other request: what a hold looks for.
func produced(request []byte) (all []event.Record) {
	produce, _ := produceRequest(request)
	if produce == nil {
		return nil
	}
	for _, topic := range produce.Topics {
		for _, partition := range topic.Partitions {
			all = append(all, inBatch(partition.Records)...)
		}
	}
	return all
}

func inBatch(encoded []byte) (all []event.Record) {
	var batch kmsg.RecordBatch
	if batch.ReadFrom(encoded) != nil {
		return nil
	}
	for rest := batch.Records; len(rest) > 0; {
		size, n := binary.Varint(rest)
		if n <= 0 || size < 0 || size > int64(len(rest)-n) {
			return all
		}
		var r kmsg.Record
		if r.ReadFrom(rest[:n+int(size)]) == nil {
			if record, err := event.Decode(r.Value); err == nil {
				all = append(all, record)
			}
		}
		rest = rest[n+int(size):]
	}
	return all
}

// appends looks for a record of an account that is of a kind; of a transaction in parts, for one of the later parts.
func appends(id account.ID, kind event.Kind) func([]byte) bool {
	return func(request []byte) bool {
		for _, r := range produced(request) {
			if r.Account == id && r.Kind == kind && (kind != event.Change || r.Part > 1) {
				return true
			}
		}
		return false
	}
}

// once finds what another finds, but no more after that.
func once(find func([]byte) bool) func([]byte) bool {
	found := false
	return func(request []byte) bool {
		if found {
			return false
		}
		found = find(request)
		return found
	}
}
