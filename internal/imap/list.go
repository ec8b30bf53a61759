package imap

import (
	"slices"
	"strings"

	"mailreplica/internal/imap/wire"
	"mailreplica/internal/mailbox"
)

// delimiter stands between the levels of folder names.
const delimiter = mailbox.Separator

// listed is a name that LIST can tell: of a folder, of a level above one that does not exist itself, or of a subscription.
type listed struct {
	name            string
	folder          *mailbox.Folder // nil if there is none
	children        bool
	subscribed      bool
	childSubscribed bool // a subscribed name below it is not told by itself
}

// tree is every name that LIST could tell.
type tree struct {
	names []*listed // sorted
	index map[string]*listed
}

func (t *tree) add(name string) *listed {
	if e := t.index[name]; e != nil {
		return e
	}
	e := &listed{name: name}
	t.index[name] = e
	t.names = append(t.names, e)
	return e
}

// newTree makes the tree in time proportional to the names and their depth.
func newTree(folders []mailbox.Folder, subscriptions []string) *tree {
	t := &tree{index: make(map[string]*listed, len(folders))}
	for i := range folders {
		t.add(folders[i].Name).folder = &folders[i]
		for parent := mailbox.ParentName(folders[i].Name); parent != ""; parent = mailbox.ParentName(parent) {
			e := t.add(parent)
			if e.children {
				break
			}
			e.children = true
		}
	}
	for _, name := range subscriptions {
		t.add(name).subscribed = true
	}
	t.sort()
	return t
}

func (t *tree) sort() {
	slices.SortFunc(t.names, func(a, b *listed) int { return strings.Compare(a.name, b.name) })
}

// match gives the names that fit any of the patterns, sorted. Many long names against long patterns take their time, so it ends with
// the session.
func (s *session) match(names []*listed, reference string, patterns []string) ([]*listed, error) {
	var fit []*listed
	for _, e := range names {
		if err := s.mayGoOn(); err != nil {
			return nil, err
		}
		if matchesAny(e.name, reference, patterns) {
			fit = append(fit, e)
		}
	}
	return fit, nil
}

func matchesAny(name, reference string, patterns []string) bool {
	for _, p := range patterns {
		if wire.MatchMailbox(reference+p, name, delimiter[0]) {
			return true
		}
	}
	return false
}

// list answers LIST (RFC 3501 section 6.3.8, RFC 5258, RFC 5819, RFC 6154).
func (s *session) list(c *wire.Command) (outcome, error) {
	args := c.Args.(*wire.List)
	if !args.Extended && args.Patterns[0] == "" { // it asks for the delimiter
		s.out.Untagged(`LIST (\Noselect) "/" ""`)
		return outcome{text: "Listed"}, nil
	}
	var folders []mailbox.Folder
	var subscriptions []string
	err := s.mailbox.View(s.ctx, func(r mailbox.Reader) (err error) {
		if folders, err = r.Folders(); err != nil {
			return err
		}
		if args.Select.Subscribed || args.Return.Subscribed {
			subscriptions, err = r.Subscriptions()
		}
		return err
	})
	if err != nil {
		return outcome{}, err
	}
	chosen, err := s.selectListed(newTree(folders, subscriptions), args)
	if err != nil {
		return outcome{}, err
	}
	for _, e := range chosen {
		s.writeListed(e, args)
		if e.folder == nil || len(args.Return.Status) == 0 {
			continue
		}
		line, err := s.count(s.ctx, *e.folder, args.Return.Status)
		if err != nil {
			return outcome{}, err
		}
		s.writeStatus(line, args.Return.Status)
	}
	return outcome{text: "Listed"}, nil
}

// selectListed finds the names that fit the patterns and the selection options.
func (s *session) selectListed(t *tree, args *wire.List) ([]*listed, error) {
	chosen := func(e *listed) bool {
		switch {
		case args.Select.Subscribed && !e.subscribed, args.Select.SpecialUse && (e.folder == nil || e.folder.SpecialUse == ""):
			return false
		}
		return e.folder != nil || e.children || args.Select.Subscribed // a mere subscription is told only where they are asked for
	}
	fit, err := s.match(t.names, args.Reference, args.Patterns)
	if err == nil && args.Select.RecursiveMatch {
		told := make(map[*listed]bool, len(fit))
		for _, e := range fit {
			told[e] = true
		}
		t.markParents(func(e *listed) bool { return chosen(e) && !told[e] })
		fit, err = s.match(t.names, args.Reference, args.Patterns) // there are more names now
	}
	return slices.DeleteFunc(fit, func(e *listed) bool { return !chosen(e) && !e.childSubscribed }), err
}

// markParents finds the names above those that the selection options choose but the patterns leave out (RFC 5258
// section 3.1: RECURSIVEMATCH). Where the name below is told by itself nothing needs to be said above.
func (t *tree) markParents(leftOut func(*listed) bool) {
	for _, e := range slices.Clone(t.names) {
		if !leftOut(e) {
			continue
		}
		for parent := mailbox.ParentName(e.name); parent != ""; parent = mailbox.ParentName(parent) {
			t.add(parent).childSubscribed = true
		}
	}
	t.sort()
}

func (s *session) writeListed(e *listed, args *wire.List) {
	var attributes []string
	switch {
	case e.folder != nil:
	case args.Extended:
		attributes = append(attributes, `\NonExistent`)
	default:
		attributes = append(attributes, `\Noselect`)
	}
	if (args.Select.Subscribed || args.Return.Subscribed) && e.subscribed {
		attributes = append(attributes, `\Subscribed`)
	}
	switch {
	case e.children:
		attributes = append(attributes, `\HasChildren`)
	case !e.childSubscribed:
		attributes = append(attributes, `\HasNoChildren`)
	}
	if e.folder != nil && e.folder.SpecialUse != "" {
		attributes = append(attributes, e.folder.SpecialUse)
	}
	s.out.Raw("* LIST ")
	s.out.Flags(attributes)
	s.out.Raw(` "/" `)
	s.out.Mailbox(e.name)
	if e.childSubscribed && args.Select.Subscribed {
		s.out.Raw(` ("CHILDINFO" ("SUBSCRIBED"))`)
	} else if e.childSubscribed {
		s.out.Raw(` ("CHILDINFO" ("SPECIAL-USE"))`)
	}
	s.out.CRLF()
}

// lsub answers LSUB (RFC 3501 section 6.3.9). A name that is not subscribed is told with \Noselect where one below it is,
// and the pattern stops above that.
func (s *session) lsub(c *wire.Command) (outcome, error) {
	args := c.Args.(*wire.LSub)
	var subscriptions []string
	err := s.mailbox.View(s.ctx, func(r mailbox.Reader) (err error) {
		subscriptions, err = r.Subscriptions()
		return err
	})
	if err != nil {
		return outcome{}, err
	}
	t := newTree(nil, subscriptions)
	patterns := []string{args.Pattern}
	fit, err := s.match(t.names, args.Reference, patterns)
	if err != nil {
		return outcome{}, err
	}
	told := make(map[string]bool, len(fit))
	for _, e := range fit {
		told[e.name] = true
	}
	for _, name := range subscriptions {
		if told[name] {
			continue
		}
		for parent := mailbox.ParentName(name); parent != ""; parent = mailbox.ParentName(parent) {
			t.add(parent).childSubscribed = true
		}
	}
	t.sort()
	if fit, err = s.match(t.names, args.Reference, patterns); err != nil { // there are more names now
		return outcome{}, err
	}
	for _, e := range fit {
		attributes := []string{}
		if !e.subscribed {
			attributes = []string{`\Noselect`}
		}
		s.out.Raw("* LSUB ")
		s.out.Flags(attributes)
		s.out.Raw(` "/" `)
		s.out.Mailbox(e.name)
		s.out.CRLF()
	}
	return outcome{text: "Listed"}, nil
}
