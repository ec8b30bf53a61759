package mailbox

import (
	"strings"

	"mailreplica/internal/fault"
)

// Inbox is the name of the folder that every mailbox has (RFC 3501 section 5.1). Its name is the only one that is compared
// without regard to case.
const Inbox = "INBOX"

// Separator stands between the levels of a folder name.
const Separator = "/"

// Limits on folders.
const (
	folderNameBytesMax = 1000
	folderDepthMax     = 64
	foldersMax         = 10_000
	subscriptionsMax   = 10_000
)

// CanonicalName spells a name, or its first level, INBOX where it is that in another case.
func CanonicalName(name string) string {
	first, rest, nested := strings.Cut(name, Separator)
	if !equalFold(first, Inbox) {
		return name
	}
	if !nested {
		return Inbox
	}
	return Inbox + Separator + rest
}

// ParentName is the name one level up, empty at the top.
func ParentName(name string) string {
	i := strings.LastIndex(name, Separator)
	return name[:max(i, 0)]
}

// folderName gives a name as folders carry it. One trailing separator only says that the client means to make names below
// (RFC 3501 section 6.3.3).
func folderName(name string) (string, error) {
	name = CanonicalName(strings.TrimSuffix(name, Separator))
	switch {
	case name == "":
		return "", fault.New(fault.Invalid, "a folder name cannot be empty")
	case strings.ContainsAny(name, "\x00\r\n"):
		return "", fault.New(fault.Invalid, "a folder name cannot hold NUL, CR or LF")
	}
	for level := range strings.SplitSeq(name, Separator) {
		if level == "" {
			return "", fault.New(fault.Invalid, "a level of a folder name cannot be empty")
		}
	}
	return name, checkNameLimits(name)
}

func checkNameLimits(name string) error {
	if len(name) > folderNameBytesMax {
		return fault.New(fault.TooLarge, "a folder name has at most %d bytes", folderNameBytesMax)
	}
	if strings.Count(name, Separator) >= folderDepthMax {
		return fault.New(fault.TooLarge, "folders lie at most %d levels deep", folderDepthMax)
	}
	return nil
}

// specialUses are those that a folder may be made with (RFC 6154 section 2). The others name views of messages that lie
// elsewhere.
var specialUses = [...]string{"\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash"}

func canonicalSpecialUse(use string) (string, error) {
	if use == "" {
		return "", nil
	}
	for _, known := range specialUses {
		if equalFold(known, use) {
			return known, nil
		}
	}
	return "", fault.New(fault.Invalid, "special use %q is not supported", use)
}
