package index

import (
	"cmp"
	"slices"

	"mailreplica/internal/mailbox"
)

const (
	// What transactions did to a folder is carried out when it is so many or so much, for to alter one message is to copy its chunk, and
	// whoever asks for a message looks through them.
	aheadStepsMax    = 64
	aheadMessagesMax = chunkRowsMax
)

// state is a folder as of a transaction: as it was before, and what was done to it since.
type state struct {
	folder *folder // nil: it is not known
	ahead  []*step
}

// message gives a message as it is after the last step that had to do with it.
func (s state) message(uid mailbox.UID) (mailbox.Message, bool) {
	for _, step := range slices.Backward(s.ahead) {
		put := folder{id: s.folder.id, chunks: step.put}
		if m, found := put.message(uid); found {
			return m, true
		}
		if _, gone := slices.BinarySearch(step.gone, uid); gone {
			return mailbox.Message{}, false
		}
	}
	return s.folder.message(uid)
}

// follow notes a step behind those that were made since the folder was kept, with those between if they are remembered, and reports
// whether it could. It is called with mu held.
func (c *Cache) follow(held *kept, s *step) bool {
	if held.newest == nil {
		return false
	}
	from := held.newest.highest
	if n := len(held.ahead); n > 0 {
		from = held.ahead[n-1].sequence
	}
	if s.sequence <= from {
		return false
	}
	steps, known := []*step{s}, s.was == from
	if !known {
		steps, known = c.past.between(s.key, from, s.sequence)
	}
	if known {
		held.ahead = append(held.ahead, steps...)
		c.resize(held, held.bytes+bytesOf(steps))
	}
	return known
}

// leaveBehind drops the steps that the newest folder has in it, and all of them if they do not go on from there. It is called with mu held.
func (h *kept) leaveBehind() {
	i, found := stepAt(h.ahead, h.newest.highest)
	if found {
		i++
	}
	h.ahead = slices.Clone(h.ahead[i:])
	if len(h.ahead) > 0 && h.ahead[0].was != h.newest.highest {
		h.ahead = nil
	}
}

func isMuch(steps []*step) bool {
	messages := 0
	for _, s := range steps {
		for _, c := range s.put {
			messages += len(c.rows)
		}
	}
	return len(steps) >= aheadStepsMax || messages >= aheadMessagesMax
}

func bytesOf(steps []*step) (n int64) {
	for _, s := range steps {
		n += s.bytes()
	}
	return n
}

// stepAt is the index of the first step with that sequence or a greater one.
func stepAt(steps []*step, sequence mailbox.Sequence) (int, bool) {
	return slices.BinarySearchFunc(steps, sequence, func(s *step, sequence mailbox.Sequence) int { return cmp.Compare(s.sequence, sequence) })
}
