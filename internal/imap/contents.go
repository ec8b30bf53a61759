package imap

import (
	"cmp"
	"slices"

	"mailreplica/internal/mailbox"
)

// contentReader reads the contents of messages. Summaries share memory, which is used again by the next reading.
type contentReader struct {
	wanted []*target // by id
	ids    []mailbox.ItemID
	text   []byte
}

// read gives targets their contents. Those that have none are left without.
func (c *contentReader) read(r mailbox.Reader, targets []*target) error {
	c.wanted, c.ids, c.text = append(c.wanted[:0], targets...), c.ids[:0], c.text[:0]
	byID := func(a, b *target) int { return cmp.Compare(a.message.ContentID, b.message.ContentID) }
	if !slices.IsSortedFunc(c.wanted, byID) {
		slices.SortStableFunc(c.wanted, byID)
	}
	for i, t := range c.wanted {
		if i == 0 || t.message.ContentID != c.wanted[i-1].message.ContentID {
			c.ids = append(c.ids, t.message.ContentID)
		}
	}
	wanted := c.wanted
	return mailbox.ContentsOf(r, c.ids, func(content mailbox.Content) bool {
		c.text = append(c.text, content.Summary...)
		content.Summary = c.text[len(c.text)-len(content.Summary):]
		for len(wanted) > 0 && wanted[0].message.ContentID < content.ID {
			wanted = wanted[1:]
		}
		for len(wanted) > 0 && wanted[0].message.ContentID == content.ID {
			wanted[0].content = content
			wanted = wanted[1:]
		}
		return len(wanted) > 0
	})
}
