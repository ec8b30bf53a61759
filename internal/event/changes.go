package event

import (
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

// Tags of effects. A tag names a layout for ever: another layout of the same effect takes another tag.
const (
	tagSetCounters uint8 = iota + 1
	tagPutFolder
	tagRemoveFolder
	tagPutContent
	tagRemoveContent
	tagPutMessage
	tagSetFlags
	tagExpunge
	tagPruneTombstones
	tagPutSubscription
	tagRemoveSubscription
	tagPutDelivery
	tagRemoveDelivery
	tagDiscardContent
	tagRemoveDiscarded
)

// EncodeChange encodes a transaction's effects: the payload of its records, all parts together. Too large a change is
// TooLarge, one that breaks a rule of package mailbox (unsorted UIDs or keywords) Invalid.
func EncodeChange(change mailbox.Change) ([]byte, error) {
	c := codec{b: make([]byte, 0, changeBytesGuess)}
	c.change(&change)
	if c.err == nil && len(c.b) > ChangeBytesMax {
		c.failTooLarge("a change of %d bytes is over the limit of %d", len(c.b), ChangeBytesMax)
	}
	return c.b, c.err
}

// DecodeChange is the inverse of EncodeChange, but for what does not travel: the ModSeq of put messages, and whether an
// empty list was nil. What it returns shares no memory with b.
func DecodeChange(b []byte) (mailbox.Change, error) {
	if len(b) > ChangeBytesMax {
		return mailbox.Change{}, fault.New(fault.Invalid, "a change of %d bytes is over the limit of %d", len(b), ChangeBytesMax)
	}
	c := codec{reading: true, b: b}
	var change mailbox.Change
	c.change(&change)
	if err := c.finish("change"); err != nil {
		return mailbox.Change{}, err
	}
	return change, nil
}

func (c *codec) change(change *mailbox.Change) {
	version := uint8(changeVersion)
	number(c, &version)
	if version != changeVersion {
		c.fail("unknown version %d of a change", version)
	}
	c.digest(&change.Digest)
	n := c.count(len(change.Effects))
	if c.reading && n > 0 {
		change.Effects = make([]mailbox.Effect, 0, min(n, len(c.b)/effectBytesMin))
	}
	for i := range n {
		var effect mailbox.Effect
		if !c.reading {
			effect = change.Effects[i]
		}
		effect = c.effect(effect)
		if c.err != nil {
			return
		}
		if c.reading {
			change.Effects = append(change.Effects, effect)
		}
	}
}

// effect writes the effect given with its tag, or reads one.
func (c *codec) effect(e mailbox.Effect) mailbox.Effect {
	tag := tagOfEffect(e)
	number(c, &tag)
	if c.reading {
		e = blankEffect(tag)
	}
	switch x := e.(type) {
	case mailbox.SetCounters:
		number(c, &x.NextItemID)
		number(c, &x.NextUIDValidity)
		number(c, &x.Messages)
		number(c, &x.Bytes)
		return x
	case mailbox.PutFolder:
		c.folder(&x.Folder)
		return x
	case mailbox.RemoveFolder:
		number(c, &x.ID)
		return x
	case mailbox.PutContent:
		c.content(&x.Content)
		return x
	case mailbox.RemoveContent:
		number(c, &x.ID)
		return x
	case mailbox.DiscardContent:
		number(c, &x.ID)
		integer(c, &x.At)
		return x
	case mailbox.RemoveDiscarded:
		c.idList(&x.ContentIDs)
		return x
	case mailbox.PutMessage:
		c.message(&x.Message)
		return x
	case mailbox.SetFlags:
		number(c, &x.FolderID)
		c.uidList(&x.UIDs)
		c.flags(&x.Flags)
		return x
	case mailbox.Expunge:
		number(c, &x.FolderID)
		c.uidList(&x.UIDs)
		return x
	case mailbox.PruneTombstones:
		number(c, &x.FolderID)
		c.sequence(&x.UpTo)
		return x
	case mailbox.PutSubscription:
		c.text(&x.Name, textBytesMax)
		return x
	case mailbox.RemoveSubscription:
		c.text(&x.Name, textBytesMax)
		return x
	case mailbox.PutDelivery:
		c.fixed(x.Key[:])
		return x
	case mailbox.RemoveDelivery:
		c.fixed(x.Key[:])
		return x
	}
	c.fail("unknown effect %d (%T)", tag, e)
	return nil
}

func tagOfEffect(e mailbox.Effect) uint8 {
	switch e.(type) {
	case mailbox.SetCounters:
		return tagSetCounters
	case mailbox.PutFolder:
		return tagPutFolder
	case mailbox.RemoveFolder:
		return tagRemoveFolder
	case mailbox.PutContent:
		return tagPutContent
	case mailbox.RemoveContent:
		return tagRemoveContent
	case mailbox.PutMessage:
		return tagPutMessage
	case mailbox.SetFlags:
		return tagSetFlags
	case mailbox.Expunge:
		return tagExpunge
	case mailbox.PruneTombstones:
		return tagPruneTombstones
	case mailbox.PutSubscription:
		return tagPutSubscription
	case mailbox.RemoveSubscription:
		return tagRemoveSubscription
	case mailbox.PutDelivery:
		return tagPutDelivery
	case mailbox.RemoveDelivery:
		return tagRemoveDelivery
	case mailbox.DiscardContent:
		return tagDiscardContent
	case mailbox.RemoveDiscarded:
		return tagRemoveDiscarded
	}
	return 0
}

func blankEffect(tag uint8) mailbox.Effect {
	effects := [...]mailbox.Effect{
		tagSetCounters: mailbox.SetCounters{}, tagPutFolder: mailbox.PutFolder{}, tagRemoveFolder: mailbox.RemoveFolder{},
		tagPutContent: mailbox.PutContent{}, tagRemoveContent: mailbox.RemoveContent{}, tagPutMessage: mailbox.PutMessage{},
		tagSetFlags: mailbox.SetFlags{}, tagExpunge: mailbox.Expunge{}, tagPruneTombstones: mailbox.PruneTombstones{},
		tagPutSubscription: mailbox.PutSubscription{}, tagRemoveSubscription: mailbox.RemoveSubscription{},
		tagPutDelivery: mailbox.PutDelivery{}, tagRemoveDelivery: mailbox.RemoveDelivery{},
		tagDiscardContent: mailbox.DiscardContent{}, tagRemoveDiscarded: mailbox.RemoveDiscarded{},
	}
	if int(tag) >= len(effects) {
		return nil
	}
	return effects[tag]
}
