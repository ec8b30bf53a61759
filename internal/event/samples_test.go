package event_test

import (
	"fmt"
	"strings"

	"mailreplica/internal/account"
	"mailreplica/internal/event"
	"mailreplica/internal/mailbox"
)

// The samples have every kind, effect and row, with every field set somewhere. Golden files hold their encodings: change a
// sample only together with the version of the encoding.

func id(n byte) event.ID {
	var v event.ID
	for i := range v {
		v[i] = n + byte(i)
	}
	return v
}

func accountID() account.ID { return account.ID(id(0xa0)) }

func records() map[string]event.Record {
	sequenced := func(kind event.Kind, mailstore string) event.Record {
		return event.Record{
			Kind: kind, Account: accountID(), Epoch: 7, Sequence: 300, ID: id(1), Previous: id(2),
			Writer: "mbox1.example.com", Mailstore: mailstore, Part: 1, Parts: 1,
		}
	}
	m := map[string]event.Record{
		"join":   sequenced(event.Join, "mbox2.example.com"),
		"leave":  sequenced(event.Leave, "mbox2.example.com"),
		"pause":  sequenced(event.Pause, ""),
		"resume": sequenced(event.Resume, ""),
		"delete": sequenced(event.Delete, ""),
		"change": sequenced(event.Change, ""),
		"part":   sequenced(event.Change, ""),
		"open": {
			Kind: event.Open, Account: accountID(), Epoch: 1, Sequence: 1<<63 - 1, ID: id(1),
			Writer: "mbox1.example.com", Mailstore: "mbox1.example.com", Part: 1, Parts: 1,
		},
		"open-empty": {
			Kind: event.Open, Account: accountID(), Epoch: 1, ID: id(1),
			Writer: "mbox1.example.com", Mailstore: "mbox1.example.com", Part: 1, Parts: 1,
		},
		"fence": {
			Kind: event.Fence, Account: accountID(), Epoch: 1<<63 - 1, ID: id(1), Join: id(3),
			Writer: "mbox2.example.com", Mailstore: "mbox2.example.com", Part: 1, Parts: 1,
		},
		"fence-accept-loss": {
			Kind: event.Fence, Account: accountID(), Epoch: 8, ID: id(1), Join: id(3), AcceptLoss: true,
			Operation: "0191f2b6-7d4e-7c1a-9b0e-3a5d2f1c8e47",
			Writer:    "mbox2.example.com", Mailstore: "mbox2.example.com", Part: 1, Parts: 1,
		},
	}
	change, part := m["change"], m["part"]
	change.Payload = []byte("payload")
	part.Part, part.Parts, part.Payload = 2, 3, []byte{0, 255}
	m["change"], m["part"] = change, part
	return m
}

func message(uid mailbox.UID) mailbox.Message {
	return mailbox.Message{
		FolderID: 2, UID: uid, ID: 4711, ContentID: 4712, InternalDate: 1790000000, DateZone: 120, Size: 8192,
		Flags: mailbox.Flags{System: mailbox.Seen | mailbox.DraftFlag, Keywords: []string{"$Forwarded", "\xffodd"}},
	}
}

func folder() mailbox.Folder {
	return mailbox.Folder{
		ID: 2, Name: "Archive/日本", UIDValidity: 1<<32 - 1, UIDNext: 20001, HighestSeq: 299, SpecialUse: `\Archive`,
		Messages: 20000, Unseen: 17, Bytes: 1 << 40, Tombstones: 250, PrunedUpTo: 12,
	}
}

func content() mailbox.Content {
	return mailbox.Content{ID: 4712, Volume: "primary", Blob: "4f/2a/0191f2b67d4e7c1a9b0e3a5d2f1c8e47", Summary: []byte("summary")}
}

func key() mailbox.DeliveryKey {
	var k mailbox.DeliveryKey
	for i := range k {
		k[i] = byte(i)
	}
	return k
}

func uids(from, to mailbox.UID) []mailbox.UID {
	var list []mailbox.UID
	for u := from; u <= to; u++ {
		list = append(list, u)
	}
	return list
}

// firstEffects is how many of the samples there were when change-all was written.
const firstEffects = 16

func effects() []mailbox.Effect {
	elsewhere := message(1<<32 - 1)
	elsewhere.InternalDate, elsewhere.DateZone, elsewhere.Flags = -1, -720, mailbox.Flags{}
	return []mailbox.Effect{
		mailbox.SetCounters{NextItemID: 1<<64 - 1, NextUIDValidity: 9, Messages: 20000, Bytes: 1 << 40},
		mailbox.PutFolder{Folder: folder()},
		mailbox.RemoveFolder{ID: 3},
		mailbox.PutContent{Content: content()},
		mailbox.RemoveContent{ID: 4712},
		mailbox.PutMessage{Message: message(1)},
		mailbox.PutMessage{Message: elsewhere},
		mailbox.SetFlags{FolderID: 2, UIDs: uids(1, 20000), Flags: message(1).Flags},
		mailbox.SetFlags{FolderID: 2},
		mailbox.Expunge{FolderID: 2, UIDs: append(append(uids(3, 3), uids(7, 9)...), 11, 4000000000, 1<<32-1)},
		mailbox.PruneTombstones{FolderID: 2, UpTo: 299},
		mailbox.PutSubscription{Name: "Archive/日本"},
		mailbox.RemoveSubscription{Name: ""},
		mailbox.PutDelivery{Key: key()},
		mailbox.RemoveDelivery{Key: key()},
		mailbox.RemoveSubscription{Name: "Archive"},
		mailbox.DiscardContent{ID: 4712, At: 1790000000},
		mailbox.RemoveDiscarded{ContentIDs: []mailbox.ItemID{1, 2, 4712, 1<<64 - 1}},
		mailbox.RemoveDiscarded{},
	}
}

func rows() []event.Row {
	m := message(1)
	m.ModSeq = 1<<63 - 1
	return []event.Row{
		mailbox.Header{
			Sequence: 300, NextItemID: 4713, NextUIDValidity: 9, Messages: 20000, Bytes: 1 << 40,
			Digest: mailbox.Digest{Hi: 1 << 63, Lo: 1},
		},
		folder(), content(), m,
		mailbox.Tombstone{FolderID: 2, UID: 5, Sequence: 299},
		event.Subscription{Name: "INBOX"},
		mailbox.Delivery{Key: key(), Sequence: 299},
		mailbox.Discarded{ContentID: 4712, Volume: "primary", Blob: content().Blob, Sequence: 299, At: 1790000000},
	}
}

// delivered is the change that delivers a message of 8 KB: what package mailbox computes, with the summary that a usual
// message has.
func delivered() mailbox.Change {
	c := content()
	c.Summary = []byte(strings.Repeat("envelope and structure", 20)) // 440 bytes
	return mailbox.Change{
		Effects: []mailbox.Effect{
			mailbox.PutContent{Content: c}, mailbox.PutMessage{Message: message(20001)}, mailbox.PutFolder{Folder: folder()},
			mailbox.SetCounters{NextItemID: 4714, NextUIDValidity: 9, Messages: 20001, Bytes: 1 << 40},
			mailbox.PutDelivery{Key: key()}, mailbox.RemoveDelivery{Key: key()},
		},
		Digest: mailbox.Digest{Hi: 1 << 63, Lo: 1},
	}
}

func typeName(v any) string {
	name := fmt.Sprintf("%T", v)
	return name[strings.LastIndexByte(name, '.')+1:]
}
