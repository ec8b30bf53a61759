package mailbox

// discardContent moves a content's blob to the list of those that may be reclaimed. Content ids are never used twice, so the row
// cannot be there already.
func (o *Overlay) discardContent(e DiscardContent) error {
	c, err := o.removeContent(e.ID)
	if err != nil {
		return err
	}
	d := Discarded{ContentID: c.ID, Volume: c.Volume, Blob: c.Blob, Sequence: o.sequence, At: e.At}
	o.discarded.set(d.ContentID, &d)
	o.tally.put(d)
	return nil
}

func (o *Overlay) removeDiscarded(ids []ItemID) error {
	if len(ids) == 0 {
		return contradiction("no discarded contents are named")
	}
	last := ItemID(0)
	for _, id := range ids {
		if id <= last {
			return contradiction("the discarded contents named do not ascend: %d after %d", id, last)
		}
		last = id
		d, found, err := o.Discarded(id)
		if err != nil {
			return err
		}
		if !found {
			return contradiction("content %d is not among the discarded ones", id)
		}
		o.discarded.set(id, nil)
		o.tally.remove(d)
	}
	return nil
}

// Discarded implements Reader.
func (o *Overlay) Discarded(content ItemID) (Discarded, bool, error) {
	if d, known := o.discarded.get(content); known {
		if d == nil {
			return Discarded{}, false, nil
		}
		return *d, true, nil
	}
	return o.base.Discarded(content)
}

// ScanDiscarded implements Reader.
func (o *Overlay) ScanDiscarded(after ItemID, yield func(Discarded) bool) error {
	if after == itemIDMax {
		return nil
	}
	base := func(yield func(Discarded) bool) error { return o.base.ScanDiscarded(after, yield) }
	return o.discarded.over(after+1, itemIDMax, discardedID, base, yield)
}

func discardedID(d Discarded) ItemID { return d.ContentID }
