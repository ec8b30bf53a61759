package sim

import (
	"cmp"
	"context"
	"slices"

	"mailreplica/internal/mailbox"
	"mailreplica/internal/sim/check"
)

// some are a few messages of one folder, as the client saw it last.
func (c *client) some() []check.Row {
	var all []check.Row
	for _, r := range c.last.Rows {
		all = append(all, r)
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b check.Row) int { return cmp.Or(cmp.Compare(a.Folder, b.Folder), cmp.Compare(a.UID, b.UID)) })
	folder := all[c.random.IntN(len(all))].Folder
	all = slices.DeleteFunc(all, func(r check.Row) bool { return r.Folder != folder })
	c.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(len(all), 1+c.random.IntN(3))]
}

func places(rows []check.Row) (uids []mailbox.UID, all []check.Place) {
	for _, r := range rows {
		uids, all = append(uids, r.UID), append(all, r.Place)
	}
	slices.Sort(uids)
	return uids, all
}

// aFolder is one of the folders that the client saw.
func (c *client) aFolder(made bool) (check.Folder, bool) {
	var all []check.Folder
	for _, f := range c.last.Folders {
		if !made || f.ID > 5 { // the first ones are every account's
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return check.Folder{}, false
	}
	slices.SortFunc(all, func(a, b check.Folder) int { return cmp.Compare(a.ID, b.ID) })
	return all[c.random.IntN(len(all))], true
}

// mark gives messages a keyword that nothing else has, and that nobody takes away.
func (c *client) mark(ctx context.Context) {
	rows := c.some()
	if len(rows) == 0 || len(rows[0].Keywords) > 60 {
		return
	}
	uids, all := places(rows)
	o := &check.Op{Kind: "marks", Marks: all, Keyword: c.cluster.nextName("k")}
	c.attempt(ctx, o, func(d *mailbox.Draft, o *check.Op) error {
		_, _, err := d.SetFlags(all[0].Folder, uids, mailbox.AddFlags, mailbox.Flags{System: mailbox.Seen, Keywords: []string{o.Keyword}}, nil)
		return err
	})
}

func (c *client) copy(ctx context.Context, move bool) {
	rows := c.some()
	to, found := c.aFolder(false)
	if len(rows) == 0 || !found || len(c.last.Rows) > 150 && !move || move && rows[0].Folder == to.ID {
		return
	}
	uids, all := places(rows)
	o := &check.Op{Kind: "copies"}
	blobs := map[mailbox.UID]string{}
	for _, r := range rows {
		o.Copies = append(o.Copies, check.Made{Place: r.Place, Blob: r.Blob})
		blobs[r.UID] = r.Blob
	}
	if move {
		o.Kind, o.Takes = "moves", all
	}
	c.attempt(ctx, o, func(d *mailbox.Draft, o *check.Op) error {
		do := d.Copy
		if move {
			do = d.Move
		}
		source, destination, err := do(rows[0].Folder, uids, to.ID)
		o.Made, o.Copies = nil, nil
		for i := range source {
			o.Made = append(o.Made, check.Made{
				Place: check.Place{Folder: to.ID, UID: destination[i]}, Blob: blobs[source[i]], From: check.Place{Folder: rows[0].Folder, UID: source[i]},
			})
		}
		if move && len(source) > 0 {
			o.Took(placesOf(rows[0].Folder, source))
		}
		return err
	})
}

func placesOf(folder mailbox.ItemID, uids []mailbox.UID) (all []check.Place) {
	for _, uid := range uids {
		all = append(all, check.Place{Folder: folder, UID: uid})
	}
	return all
}

func (c *client) expunge(ctx context.Context) {
	rows := c.some()
	if len(rows) == 0 {
		return
	}
	uids, all := places(rows)
	c.attempt(ctx, &check.Op{Kind: "expunges", Takes: all}, func(d *mailbox.Draft, o *check.Op) error {
		gone, err := d.Expunge(all[0].Folder, uids)
		if len(gone) > 0 {
			o.Took(placesOf(all[0].Folder, gone))
		}
		return err
	})
}

// folder makes, renames or removes a folder.
func (c *client) folder(ctx context.Context) {
	f, found := c.aFolder(true)
	name := c.cluster.nextName("folder")
	switch n := c.random.IntN(4); {
	case !found || n < 2 && len(c.last.Folders) < 15:
		c.attempt(ctx, &check.Op{Kind: "makes " + name, Name: name, Makes: true}, func(d *mailbox.Draft, o *check.Op) error {
			made, err := d.CreateFolder(name, "")
			o.Folder = made.ID
			return err
		})
	case n == 2:
		c.attempt(ctx, &check.Op{Kind: "renames " + f.Name + " " + name, Folder: f.ID, Name: name}, func(d *mailbox.Draft, _ *check.Op) error {
			return d.RenameFolder(f.Name, name)
		})
	default:
		c.attempt(ctx, &check.Op{Kind: "removes " + f.Name, Drops: f.ID}, func(d *mailbox.Draft, _ *check.Op) error {
			return d.DeleteFolder(f.Name)
		})
	}
}
