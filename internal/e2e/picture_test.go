package e2e_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// picture is everything that a client can be shown of an account: a name for each thing, and what was shown.
type picture map[string]string

// row is what never changes of a message, as shown: date, size, envelope, structure and the hash of its bytes.
type row struct {
	uid    uint64
	id     string // of the test, from the message's header
	flags  string // sorted, without \Recent, which is local to a mailstore
	modseq uint64
	fixed  string
	body   string // hash
	own    string // hash from the test's own header on, which is all that was sent
}

const shownItems = "(UID FLAGS MODSEQ INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])"

// rows fetches messages of the selected folder.
func (c *client) rows(set string) ([]row, error) {
	lines, _, err := c.do("UID FETCH %s %s", set, shownItems)
	if err != nil {
		return nil, err
	}
	var all []row
	for _, line := range lines {
		m := fetchLine.FindStringSubmatch(line.text)
		if m == nil || !strings.Contains(m[1], "BODY[]") {
			continue
		}
		r := row{uid: number(uidItem, m[1]), modseq: number(modseqItem, m[1]), flags: sortedFlags(m[1])}
		r.fixed = strings.TrimSpace(modseqItem.ReplaceAllString(flagsItem.ReplaceAllString(m[1], ""), ""))
		if n := len(line.literals); n > 0 {
			r.body = hash(line.literals[n-1])
			if at := idHeader.FindSubmatchIndex(line.literals[n-1]); at != nil {
				r.id, r.own = string(line.literals[n-1][at[2]:at[3]]), hash(line.literals[n-1][at[0]:])
			}
		}
		all = append(all, r)
	}
	return all, nil
}

func sortedFlags(fetch string) string {
	m := flagsItem.FindStringSubmatch(fetch)
	if m == nil {
		return ""
	}
	return joinFlags(strings.Fields(m[1]))
}

func joinFlags(flags []string) string {
	flags = slices.DeleteFunc(slices.Clone(flags), func(f string) bool { return f == `\Recent` })
	sort.Strings(flags)
	return strings.Join(slices.Compact(flags), " ")
}

var existsLine = regexp.MustCompile(`(?m)^\* (\d+) EXISTS`)

var listLine = regexp.MustCompile(`^\* LIST \(([^)]*)\) (\S+) (.*)$`)

// folders lists the names of all folders, as they are written on the wire.
func (c *client) folders() (names []string, lines []response, err error) {
	lines, _, err = c.do(`LIST "" "*" RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)`)
	for _, line := range lines {
		if m := listLine.FindStringSubmatch(line.text); m != nil {
			names = append(names, m[3])
		}
	}
	return names, lines, err
}

// take looks at an account through an open session.
func (c *client) take() (picture, error) {
	p := picture{}
	names, lines, err := c.folders()
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		if m := listLine.FindStringSubmatch(line.text); m != nil {
			p["LIST "+m[3]] = m[2] + " " + joinFlags(strings.Fields(m[1]))
		}
	}
	lines, _, err = c.do(`LSUB "" "*"`)
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		p[line.text] = "subscribed"
	}
	for _, name := range names {
		if strings.Contains(p["LIST "+name], `\Noselect`) {
			continue
		}
		if err := c.takeFolder(name, p); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return p, nil
}

func (c *client) takeFolder(name string, p picture) error {
	lines, _, err := c.do("STATUS %s (MESSAGES UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE HIGHESTMODSEQ)", name)
	if err != nil {
		return err
	}
	p["STATUS "+name] = texts(lines)
	lines, _, err = c.do("EXAMINE %s (CONDSTORE)", name)
	if err != nil {
		return err
	}
	all := texts(lines)
	p["SELECT "+name] = fmt.Sprintf("exists %d validity %d next %d modseq %d flags %s", number(existsLine, all),
		number(validityCode, all), number(nextCode, all), number(modseqCode, all), sortedFlags(all))
	rows, err := c.rows("1:*")
	if err != nil {
		return err
	}
	for _, r := range rows {
		p[name+" "+strconv.FormatUint(r.uid, 10)] = fmt.Sprintf("%s (%s) modseq %d body %s", r.fixed, r.flags, r.modseq, r.body)
	}
	return nil
}

// picture looks at an account on a mailstore.
func (c *cluster) picture(i int, name string) picture {
	c.t.Helper()
	session, err := login(c.store(i).imap, name)
	if err != nil {
		c.t.Fatalf("login of %s on mbox%d: %v", name, i, err)
	}
	defer session.close()
	p, err := session.take()
	if err != nil {
		c.t.Fatalf("%s on mbox%d: %v", name, i, err)
	}
	return p
}

func (c *cluster) pictures(i int, names []string) map[string]picture {
	c.t.Helper()
	all := map[string]picture{}
	for _, name := range names {
		all[name] = c.picture(i, name)
	}
	return all
}

// same compares what an account shows now with what it had shown.
func same(t testing.TB, name string, got, want picture) {
	t.Helper()
	keys := map[string]bool{}
	for key := range want {
		keys[key] = true
	}
	for key := range got {
		keys[key] = true
	}
	shown := 0
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		g, w := got[key], want[key]
		if g == w {
			continue
		}
		if shown++; shown > 10 {
			t.Errorf("%s: … and more", name)
			return
		}
		t.Errorf("%s: %s\n  got  %q\n  want %q", name, key, g, w)
	}
	if len(want) < 5 {
		t.Errorf("%s: a picture of %d things compares nothing", name, len(want))
	}
}

func sameAll(t testing.TB, got, want map[string]picture) {
	t.Helper()
	for name := range want {
		same(t, name, got[name], want[name])
	}
}

// rows reads a folder through a session of its own.
func (c *cluster) rows(i int, name, folder string) []row {
	c.t.Helper()
	session, err := login(c.store(i).imap, name)
	if err != nil {
		c.t.Fatalf("login of %s on mbox%d: %v", name, i, err)
	}
	defer session.close()
	_, rows, err := session.look(folder, 1)
	if err != nil {
		c.t.Fatalf("%s of %s on mbox%d: %v", folder, name, i, err)
	}
	return rows
}
