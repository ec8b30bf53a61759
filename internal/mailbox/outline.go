package mailbox

// Outline is what opening a folder asks of all its messages together.
type Outline struct {
	UIDs     []UIDRun // ascending; runs that touch each other are one
	Messages int
	Unseen   int      // number, from 1, of the first message without \Seen; 0 if there is none
	Keywords []string // that messages have, each once without regard to ASCII case, as they are met first; no more than outlineKeywordsMax
}

// outlineKeywordsMax bounds the keywords of an outline: nobody shows more.
const outlineKeywordsMax = 256

// UIDRun is messages of a folder with UIDs one after the other.
type UIDRun struct {
	First    UID
	Messages int
}

// outliner is the ability of a Reader that need not look at each message.
type outliner interface {
	Outline(folder ItemID) (Outline, error)
}

// OutlineOf is the outline of a folder.
func OutlineOf(r Reader, folder ItemID) (Outline, error) {
	if o, ok := r.(outliner); ok {
		return o.Outline(folder)
	}
	return ReadOutline(r, folder)
}

// ReadOutline makes a folder's outline of its messages.
func ReadOutline(r Reader, folder ItemID) (Outline, error) {
	var o Outline
	err := r.Messages(folder, 1, uidMax, func(m Message) bool {
		o.Add(m)
		return true
	})
	return o, err
}

// Add takes in the message that follows.
func (o *Outline) Add(m Message) {
	o.AddRun(m.UID, 1)
	if o.Unseen == 0 && !m.Flags.Has(Seen) {
		o.Unseen = o.Messages
	}
	o.AddKeywords(m.Flags.Keywords)
}

// AddRun takes in the UIDs of messages that follow.
func (o *Outline) AddRun(first UID, messages int) {
	o.Messages += messages
	if n := len(o.UIDs); n > 0 && o.UIDs[n-1].First+UID(o.UIDs[n-1].Messages) == first {
		o.UIDs[n-1].Messages += messages
		return
	}
	o.UIDs = append(o.UIDs, UIDRun{first, messages})
}

// AddKeywords takes in keywords of messages that follow.
func (o *Outline) AddKeywords(keywords []string) {
next:
	for _, keyword := range keywords {
		if len(o.Keywords) == outlineKeywordsMax {
			return
		}
		for _, known := range o.Keywords {
			if equalFold(known, keyword) {
				continue next
			}
		}
		o.Keywords = append(o.Keywords, keyword)
	}
}
