package index

import (
	"fmt"
	"iter"

	"mailreplica/internal/mailbox"
)

// check has the rows beneath asked as well, in tests that call mailbox.CheckMemory.
func (r *reader) check(f *folder, from, to mailbox.UID) error {
	return compare(fmt.Sprintf("messages %d to %d of folder %d", from, to, f.id),
		func(yield func(mailbox.Message) bool) { f.messages(from, to, yield) },
		func(yield func(mailbox.Message) bool) error { return r.Scanner.Messages(f.id, from, to, yield) })
}

func (r *reader) checkMessage(id mailbox.ItemID, uid mailbox.UID, known mailbox.Message, found bool) error {
	return compare(fmt.Sprintf("message %d of folder %d", uid, id),
		func(yield func(mailbox.Message) bool) {
			if found {
				yield(known)
			}
		},
		func(yield func(mailbox.Message) bool) error { return r.Scanner.Messages(id, uid, uid, yield) })
}

func (r *reader) checkChanged(id mailbox.ItemID, since mailbox.Sequence, known iter.Seq[mailbox.Message]) error {
	return compare(fmt.Sprintf("messages of folder %d that changed since %d", id, since), known,
		func(yield func(mailbox.Message) bool) error { return r.Scanner.ChangedSince(id, since, yield) })
}

func (r *reader) checkTombstones(id mailbox.ItemID, since mailbox.Sequence, known iter.Seq[mailbox.Tombstone]) error {
	return compare(fmt.Sprintf("tombstones of folder %d since %d", id, since), known,
		func(yield func(mailbox.Tombstone) bool) error { return r.Scanner.Tombstones(id, since, yield) })
}

// checkContent has the rows beneath asked for a content. One that they do not have was removed, so that nothing may refer to it.
func (r *reader) checkContent(known mailbox.Content) error {
	if !mailbox.MemoryChecked() {
		return nil
	}
	read, found, err := r.Scanner.Content(known.ID)
	if err == nil && found {
		mailbox.MustAgree(fmt.Sprintf("content %d", known.ID), fmt.Sprintf("%+v", known), fmt.Sprintf("%+v", read))
	}
	if err == nil && !found {
		var messages int
		messages, err = r.References(known.ID)
		mailbox.MustAgree(fmt.Sprintf("the messages of content %d", known.ID), 0, messages)
	}
	return err
}

func (r *reader) checkOutline(f *folder, known mailbox.Outline) error {
	return checkAnswer(r, "the outline of folder %d", f.id, known, mailbox.ReadOutline)
}

func (r *reader) checkDeleted(f *folder, known []mailbox.UID) error {
	return checkAnswer(r, "the messages marked \\Deleted of folder %d", f.id, known, mailbox.ReadDeletedUIDs)
}

// checkAnswer has a question about a folder answered by the rows beneath.
func checkAnswer[A any](r *reader, what string, folder mailbox.ItemID, known A, ask func(mailbox.Reader, mailbox.ItemID) (A, error)) error {
	if !mailbox.MemoryChecked() {
		return nil
	}
	read, err := ask(r.Scanner, folder)
	if err == nil {
		mailbox.MustAgree(fmt.Sprintf(what, folder), known, read)
	}
	return err
}

func compare[R any](what string, memory iter.Seq[R], rows func(func(R) bool) error) error {
	if !mailbox.MemoryChecked() {
		return nil
	}
	var known, read []string
	memory(into[R](&known))
	if err := rows(into[R](&read)); err != nil {
		return err
	}
	mailbox.MustAgree(what, known, read)
	return nil
}

func into[R any](all *[]string) func(R) bool {
	return func(r R) bool {
		*all = append(*all, fmt.Sprintf("%+v", r)) // as text keywords that are nil and that are none are alike
		return true
	}
}
