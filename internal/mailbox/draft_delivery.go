package mailbox

import "mailreplica/internal/fault"

// deliveriesMax bounds the delivery keys that are remembered; the oldest go.
const deliveriesMax = 10_000

// Deliver adds a message to a folder, or to INBOX where there is no folder of that name or the name is empty. A delivery
// whose key is known is a repeat and changes nothing. The zero key is none: it is neither looked up nor remembered.
func (d *Draft) Deliver(m NewMessage, key DeliveryKey, folderName string) (msg Message, repeated bool, err error) {
	if err := d.begin(); err != nil {
		return Message{}, false, err
	}
	keyed := key != DeliveryKey{}
	if keyed {
		_, known, err := d.overlay.Delivery(key)
		if err != nil || known {
			return Message{}, known, err
		}
	}
	folder, err := d.deliverable(folderName)
	if err != nil {
		return Message{}, false, err
	}
	var forgotten []Delivery
	if keyed {
		if forgotten, err = d.surplusDeliveries(); err != nil {
			return Message{}, false, err
		}
	}
	appended, err := d.Append(folder.ID, []NewMessage{m})
	if err != nil {
		return Message{}, false, err
	}
	for _, old := range forgotten {
		if err := d.emit(RemoveDelivery{old.Key}); err != nil {
			return Message{}, false, err
		}
	}
	if keyed {
		if err := d.emit(PutDelivery{key}); err != nil {
			return Message{}, false, err
		}
	}
	return appended[0], false, nil
}

func (d *Draft) deliverable(name string) (Folder, error) {
	if name == "" { // of which there is no folder, so nobody need be asked
		name = Inbox
	}
	for _, name := range [...]string{CanonicalName(name), Inbox} {
		f, found, err := d.overlay.FolderByName(name)
		if err != nil || found {
			return f, err
		}
	}
	return Folder{}, fault.New(fault.Internal, "the mailbox has no INBOX")
}

// surplusDeliveries are those that must be forgotten before one more can be remembered.
func (d *Draft) surplusDeliveries() ([]Delivery, error) {
	n, err := d.overlay.CountDeliveries()
	if err != nil || n < d.limits.deliveries {
		return nil, err
	}
	return d.overlay.OldestDeliveries(n - d.limits.deliveries + 1)
}

// Answered forgets deliveries whose answers are known to have reached the MTA. Unknown keys are ignored.
func (d *Draft) Answered(keys []DeliveryKey) error {
	if err := d.begin(); err != nil {
		return err
	}
	known := make(map[DeliveryKey]bool, len(keys))
	for _, key := range keys {
		_, found, err := d.overlay.Delivery(key)
		if err != nil {
			return err
		}
		known[key] = found
	}
	for _, key := range keys {
		if !known[key] {
			continue
		}
		known[key] = false // named twice, forgotten once
		if err := d.emit(RemoveDelivery{key}); err != nil {
			return err
		}
	}
	return nil
}
