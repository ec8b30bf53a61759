package imap

import (
	"cmp"
	"slices"

	"mailreplica/internal/mailbox"
)

// contentsGap is the largest hole between wanted contents that is cheaper to read over than to ask again for what follows it.
const contentsGap = 16

// contentReader reads the contents of messages, near ones in one question. Summaries share memory, which is used again by the
// next reading.
type contentReader struct {
	wanted []*target // by id
	text   []byte
}

// read gives targets their contents. Those that have none are left without.
func (c *contentReader) read(r mailbox.Reader, targets []*target) error {
	c.wanted, c.text = append(c.wanted[:0], targets...), c.text[:0]
	byID := func(a, b *target) int { return cmp.Compare(a.message.ContentID, b.message.ContentID) }
	if !slices.IsSortedFunc(c.wanted, byID) {
		slices.SortStableFunc(c.wanted, byID)
	}
	for rest := c.wanted; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].message.ContentID-rest[n-1].message.ContentID <= contentsGap {
			n++
		}
		if err := c.readRun(r, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

func (c *contentReader) readRun(r mailbox.Reader, run []*target) error {
	first, last := run[0].message.ContentID, run[len(run)-1].message.ContentID
	if first == last {
		content, found, err := r.Content(first)
		if err != nil || !found {
			return err
		}
		for _, t := range run {
			t.content = content
		}
		return nil
	}
	return r.Contents(first, last, func(content mailbox.Content) bool {
		for len(run) > 0 && run[0].message.ContentID < content.ID {
			run = run[1:]
		}
		if len(run) == 0 || run[0].message.ContentID > content.ID {
			return len(run) > 0
		}
		c.text = append(c.text, content.Summary...)
		content.Summary = c.text[len(c.text)-len(content.Summary):]
		for len(run) > 0 && run[0].message.ContentID == content.ID {
			run[0].content = content
			run = run[1:]
		}
		return len(run) > 0
	})
}
