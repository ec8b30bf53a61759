package metadata

import (
	"cmp"
	"fmt"
	"slices"

	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
)

// What tests that call mailbox.CheckMemory ask the database, though memory has answered already.

// checkHeader checks the header of a mailbox, in the snapshot that v is.
func (v *View) checkHeader(id int64, k *hot) error {
	if !mailbox.MemoryChecked() || v.usable() != nil {
		return nil
	}
	if v.c == nil {
		return v.checkKnown(id, k)
	}
	header, err := v.readHeader(id)
	if err == nil {
		mailbox.MustAgree(fmt.Sprintf("the header of mailbox %d", id), k.header, header)
	}
	return err
}

// checkKnown compares all that a View without a snapshot knows of a mailbox with a snapshot that is of the same rows.
func (v *View) checkKnown(id int64, k *hot) error {
	err := v.store.View(v.ctx, func(now *View) error {
		header, err := now.readHeader(id)
		if err != nil || header.Sequence != k.header.Sequence {
			return err // it has moved on, or is gone
		}
		mailbox.MustAgree(fmt.Sprintf("the header of mailbox %d", id), k.header, header)
		r := &rows{v: now, id: id}
		for _, f := range k.folders {
			if err := r.checkFolder(selectFolder+" AND folder_id = ?", int64(f.ID), f); err != nil {
				return err
			}
		}
		if !k.counted {
			return nil
		}
		return r.checkDeliveries(k.deliveries)
	})
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

func (r *rows) checkFolder(query string, key any, known mailbox.Folder) error {
	if !mailbox.MemoryChecked() || r.v.c == nil {
		return nil
	}
	f, found, err := first(r.v, query, []any{r.id, key}, scanFolder)
	if err == nil {
		mailbox.MustAgree(fmt.Sprintf("whether mailbox %d has folder %v", r.id, key), true, found)
		mailbox.MustAgree(fmt.Sprintf("folder %v of mailbox %d", key, r.id), known, f)
	}
	return err
}

func (r *rows) checkDeliveries(known []mailbox.Delivery) error {
	if !mailbox.MemoryChecked() || r.v.c == nil {
		return nil
	}
	all, err := collect(r.v, selectDelivery, []any{r.id}, r.scanDelivery)
	if err == nil {
		byKey := func(a, b mailbox.Delivery) int { return cmp.Compare(string(a.Key[:]), string(b.Key[:])) }
		known = append([]mailbox.Delivery{}, known...)
		all = append([]mailbox.Delivery{}, all...)
		slices.SortFunc(known, byKey)
		slices.SortFunc(all, byKey)
		mailbox.MustAgree(fmt.Sprintf("the unanswered deliveries of mailbox %d", r.id), known, all)
	}
	return err
}
