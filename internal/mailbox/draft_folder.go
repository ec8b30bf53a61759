package mailbox

import (
	"cmp"
	"slices"
	"strings"

	"mailreplica/internal/fault"
)

// InitialFolders makes and subscribes the folders of a new account.
func (d *Draft) InitialFolders() error {
	if err := d.begin(); err != nil {
		return err
	}
	n, err := d.overlay.countFolders()
	if err != nil {
		return err
	}
	names, err := d.overlay.Subscriptions()
	if err != nil {
		return err
	}
	if n > 0 || len(names) > 0 {
		return fault.New(fault.Exists, "the mailbox has folders already")
	}
	for _, f := range [...]struct{ name, use string }{
		{Inbox, ""}, {"Drafts", "\\Drafts"}, {"Sent", "\\Sent"}, {"Trash", "\\Trash"}, {"Junk", "\\Junk"},
	} {
		if _, err := d.addFolder(f.name, f.use); err != nil {
			return err
		}
		if err := d.emit(PutSubscription{f.name}); err != nil {
			return err
		}
	}
	return nil
}

// CreateFolder makes a folder and the levels above it that are missing (RFC 3501 section 6.3.3). A special use (RFC 6154)
// may be empty.
func (d *Draft) CreateFolder(name, specialUse string) (Folder, error) {
	if err := d.begin(); err != nil {
		return Folder{}, err
	}
	name, missing, err := d.creatable(name)
	if err != nil {
		return Folder{}, err
	}
	use, err := canonicalSpecialUse(specialUse)
	if err != nil {
		return Folder{}, err
	}
	if err := d.addMissing(missing); err != nil {
		return Folder{}, err
	}
	return d.addFolder(name, use)
}

// creatable checks that a folder can be made with a name, and gives the levels above it that are missing, topmost first.
func (d *Draft) creatable(name string) (canonical string, missing []string, err error) {
	name, err = folderName(name)
	if err != nil {
		return "", nil, err
	}
	if _, taken, err := d.overlay.FolderByName(name); err != nil {
		return "", nil, err
	} else if taken {
		return "", nil, fault.New(fault.Exists, "folder %q exists already", name)
	}
	for parent := ParentName(name); parent != ""; parent = ParentName(parent) {
		_, found, err := d.overlay.FolderByName(parent)
		if err != nil {
			return "", nil, err
		}
		if !found {
			missing = append(missing, parent)
		}
	}
	slices.Reverse(missing)
	n, err := d.overlay.countFolders()
	if err != nil {
		return "", nil, err
	}
	if n+len(missing)+1 > foldersMax {
		return "", nil, fault.New(fault.TooLarge, "a mailbox has at most %d folders", foldersMax)
	}
	if uint64(d.overlay.nextUIDValidity)+uint64(len(missing))+1 > uint64(uidValidityMax) {
		return "", nil, fault.New(fault.TooLarge, "the mailbox has no UIDVALIDITY left")
	}
	return name, missing, d.room((len(missing) + 1) * (rowBytes + len(name)))
}

func (d *Draft) addMissing(names []string) error {
	for _, name := range names {
		if _, err := d.addFolder(name, ""); err != nil {
			return err
		}
	}
	return nil
}

func (d *Draft) addFolder(name, use string) (Folder, error) {
	o := d.overlay
	f := Folder{
		ID: o.nextItemID, Name: name, UIDValidity: o.nextUIDValidity, UIDNext: 1, HighestSeq: o.sequence, SpecialUse: use,
	}
	return f, d.emit(PutFolder{f})
}

// DeleteFolder removes a folder with its messages. Folders below it stay; its name then exists only as part of theirs.
// Its subscription stays too (RFC 3501 section 6.3.6).
func (d *Draft) DeleteFolder(name string) error {
	if err := d.begin(); err != nil {
		return err
	}
	name = CanonicalName(strings.TrimSuffix(name, Separator))
	if name == Inbox {
		return fault.New(fault.Invalid, "INBOX cannot be deleted")
	}
	f, found, err := d.overlay.FolderByName(name)
	if err != nil {
		return err
	}
	if !found {
		return fault.New(fault.NotFound, "there is no folder %q", name)
	}
	s, err := d.folder(f.ID)
	if err != nil {
		return err
	}
	messages, err := d.allMessages(f.ID)
	if err != nil {
		return err
	}
	if err := d.room((len(messages) + 1) * rowBytes / 2); err != nil {
		return err
	}
	if err := d.keep(RemoveFolder{f.ID}, d.overlay.removeFolderWith(s, messages)); err != nil {
		return err
	}
	return d.removeOrphans(messages)
}

func (d *Draft) allMessages(folder ItemID) ([]Message, error) {
	var messages []Message
	err := d.overlay.Messages(folder, 1, uidMax, func(m Message) bool {
		messages = append(messages, m)
		return true
	})
	return messages, err
}

// RenameFolder renames a folder and those below it; the levels above the new name that are missing are made. Renaming
// INBOX moves its messages to a new folder and leaves those below it alone (RFC 3501 section 6.3.5).
func (d *Draft) RenameFolder(from, to string) error {
	if err := d.begin(); err != nil {
		return err
	}
	from = CanonicalName(strings.TrimSuffix(from, Separator))
	if from == Inbox {
		return d.renameInbox(to)
	}
	moved, err := d.subtree(from)
	if err != nil {
		return err
	}
	to, missing, err := d.creatable(to)
	if err != nil {
		return err
	}
	if strings.HasPrefix(to, from+Separator) {
		return fault.New(fault.Invalid, "folder %q cannot be moved below itself", from)
	}
	renamed := make([]Folder, len(moved))
	sources := make(map[string]bool, len(moved))
	size := 0
	for i, f := range moved {
		sources[f.Name] = true
		f.Name = to + f.Name[len(from):]
		renamed[i] = f
		size += rowBytes + len(f.Name)
	}
	for _, f := range renamed {
		if err := d.checkFree(f.Name, sources); err != nil {
			return err
		}
	}
	if err := d.room(size); err != nil {
		return err
	}
	if err := d.addMissing(missing); err != nil {
		return err
	}
	// Where a new name is the old one of another folder of the subtree (a/b becomes a, and a/b/b becomes a/b), that one
	// is shorter: going by length, it has moved away by then.
	slices.SortStableFunc(renamed, func(a, b Folder) int { return cmp.Compare(len(a.Name), len(b.Name)) })
	for _, f := range renamed {
		if err := d.emit(PutFolder{f}); err != nil {
			return err
		}
	}
	return nil
}

// subtree is a folder and those below it, sorted by name. The folder itself may be missing where some below it exist.
func (d *Draft) subtree(name string) ([]Folder, error) {
	folders, err := d.overlay.Folders()
	if err != nil {
		return nil, err
	}
	folders = slices.DeleteFunc(folders, func(f Folder) bool {
		return f.Name != name && !strings.HasPrefix(f.Name, name+Separator)
	})
	if len(folders) == 0 {
		return nil, fault.New(fault.NotFound, "there is no folder %q", name)
	}
	return folders, nil
}

// checkFree checks that a folder may take a name, which it may where the folder that has it moves away.
func (d *Draft) checkFree(name string, leaving map[string]bool) error {
	if err := checkNameLimits(name); err != nil {
		return err
	}
	_, taken, err := d.overlay.FolderByName(name)
	if err != nil {
		return err
	}
	if taken && !leaving[name] {
		return fault.New(fault.Exists, "folder %q exists already", name)
	}
	return nil
}

func (d *Draft) renameInbox(to string) error {
	to, missing, err := d.creatable(to)
	if err != nil {
		return err
	}
	inbox, found, err := d.overlay.FolderByName(Inbox)
	if err != nil {
		return err
	}
	if !found {
		return fault.New(fault.Internal, "the mailbox has no INBOX")
	}
	s, err := d.folder(inbox.ID)
	if err != nil {
		return err
	}
	messages, err := d.allMessages(inbox.ID)
	if err != nil {
		return err
	}
	if err := d.mayCopy(messages); err != nil {
		return err
	}
	if err := d.addMissing(missing); err != nil {
		return err
	}
	target, err := d.addFolder(to, "")
	if err != nil || len(messages) == 0 {
		return err
	}
	if _, err := d.copyTo(messages, target.ID); err != nil {
		return err
	}
	return d.remove(s, messages)
}

// Subscribe subscribes a name, which need not exist. It changes nothing if the name is subscribed.
func (d *Draft) Subscribe(name string) error {
	if err := d.begin(); err != nil {
		return err
	}
	name, err := folderName(name)
	if err != nil {
		return err
	}
	subscribed, err := d.overlay.isSubscribed(name)
	if err != nil || subscribed {
		return err
	}
	if d.overlay.countSubscriptions() >= subscriptionsMax {
		return fault.New(fault.TooLarge, "a mailbox has at most %d subscriptions", subscriptionsMax)
	}
	if err := d.room(rowBytes + len(name)); err != nil {
		return err
	}
	return d.emit(PutSubscription{name})
}

// Unsubscribe unsubscribes a name. It changes nothing if the name is not subscribed.
func (d *Draft) Unsubscribe(name string) error {
	if err := d.begin(); err != nil {
		return err
	}
	name = CanonicalName(strings.TrimSuffix(name, Separator))
	subscribed, err := d.overlay.isSubscribed(name)
	if err != nil || !subscribed {
		return err
	}
	return d.emit(RemoveSubscription{name})
}
