package reclaim

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/blob"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/pause"
	"mailreplica/internal/peer"
)

// locate looks again for blobs that are missing, and finds out whose they are. What was expunged meanwhile is no finding.
func (c *check) locate(ctx context.Context) error {
	byAccount := map[account.ID][]peer.Reference{}
	for _, ref := range c.missing {
		is, err := c.isMissing(ctx, ref)
		if err != nil {
			return err
		}
		if is {
			byAccount[ref.Account] = append(byAccount[ref.Account], ref)
		}
	}
	hosts := map[string]directory.Mailstore{}
	for _, m := range c.mailstores {
		hosts[m.FQDN] = m
	}
	for _, id := range slices.SortedFunc(maps.Keys(byAccount), func(a, b account.ID) int { return bytes.Compare(a[:], b[:]) }) {
		wish, known := c.c.Wishes.Account(id)
		if !known {
			continue // deleted meanwhile
		}
		for refs := range slices.Chunk(byAccount[id], peer.LocateMax) {
			if err := c.locateOf(ctx, wish, hosts[wish.MailHost], refs); err != nil {
				return err
			}
		}
	}
	slices.SortStableFunc(c.report.MissingBlobs, func(a, b MissingBlob) int {
		return cmp.Or(cmp.Compare(a.AccountName, b.AccountName), cmp.Compare(a.Folder, b.Folder), cmp.Compare(a.UID, b.UID))
	})
	return nil
}

// isMissing asks the volume once more for a blob that it did not list.
func (c *check) isMissing(ctx context.Context, ref peer.Reference) (bool, error) {
	b, err := c.volume.Open(ctx, hex.EncodeToString(ref.Blob[:]))
	switch {
	case err == nil:
		return false, b.Close()
	case fault.Is(err, fault.NotFound):
		return true, nil
	}
	return false, err
}

func (c *check) locateOf(ctx context.Context, wish directory.Account, home directory.Mailstore, refs []peer.Reference) error {
	blobs := map[mailbox.ItemID]string{}
	var contents []mailbox.ItemID
	for _, ref := range refs {
		if _, twice := blobs[ref.Content]; !twice {
			contents = append(contents, ref.Content)
		}
		blobs[ref.Content] = hex.EncodeToString(ref.Blob[:])
	}
	found, err := c.c.Peers.Locate(ctx, home.PeerAddr, peer.LocateRequest{Account: wish.ID, Contents: contents})
	if ctx.Err() != nil {
		return fault.Wrap(fault.Interrupted, ctx.Err(), "interrupted")
	}
	if err != nil {
		c.problem("%s, the home of %s, does not say where %d messages without bodies lie: %s", wish.MailHost, wish.Name, len(contents), fault.Message(err))
		c.report.Missing += int64(len(contents))
		return nil
	}
	for _, l := range found {
		c.report.Missing++
		if len(c.report.MissingBlobs) < namesToldMax {
			c.report.MissingBlobs = append(c.report.MissingBlobs, MissingBlob{
				AccountID: wish.ID, AccountName: wish.Name, Folder: l.Folder, UID: l.UID, Blob: blobs[l.Content],
			})
		}
	}
	return nil
}

// compareClocks makes a problem of a clock that is ahead of the volume's, for by it blobs of now are old.
func (c *check) compareClocks(ctx context.Context) error {
	ahead, err := c.ahead(ctx)
	switch {
	case ctx.Err() != nil:
		return fault.Wrap(fault.Interrupted, ctx.Err(), "interrupted")
	case err != nil:
		c.problem("the volume's clock does not tell the time: %s", fault.Message(err))
	case ahead > clockAheadMax:
		c.problem("the clock of %s is %s ahead of the volume's", c.report.Mailstore, ahead.Round(time.Minute))
	}
	return nil
}

// ahead is how far this machine's clock is before the volume's, which a blob tells that is written now.
func (c *check) ahead(ctx context.Context) (ahead time.Duration, err error) {
	begun := time.Now()
	w, err := c.volume.Create(ctx)
	if err != nil {
		return 0, err
	}
	name, _, err := w.Commit(ctx)
	if err != nil {
		return 0, err
	}
	isListed := errors.New("that is all")
	err = c.volume.List(ctx, name[:len(name)-1], func(i blob.Info) error {
		ahead = begun.Sub(i.Modified)
		return isListed
	})
	if !errors.Is(err, isListed) {
		return 0, cmp.Or(err, error(fault.New(fault.VolumeUnavailable, "what was written is not listed")))
	}
	return ahead, c.volume.Remove(ctx, name)
}

// remove counts what was unreferenced in both looks, and removes it if it was told to and everybody has been asked.
func (c *check) remove(ctx context.Context) error {
	found := slices.SortedFunc(maps.Values(c.unreferenced), func(a, b FoundBlob) int { return cmp.Compare(a.Name, b.Name) })
	for _, b := range found {
		c.report.Unreferenced.add(b.Size)
	}
	c.report.UnreferencedBlobs = append(c.report.UnreferencedBlobs, found[:min(len(found), namesToldMax)]...)
	if c.asked.Remove && c.report.IsComplete() && len(found) > 0 {
		if err := c.compareClocks(ctx); err != nil {
			return err
		}
	}
	if c.asked.Remove && c.report.IsComplete() {
		for _, b := range found {
			if err := c.volume.Remove(ctx, b.Name); err != nil {
				c.problem("of %d blobs, %d were removed: %s", len(found), c.report.Removed.Blobs, fault.Message(err))
				break
			}
			c.report.Removed.add(b.Size)
			if pause.For(ctx, time.Second/checkRemovesMax) != nil {
				return fault.Wrap(fault.Interrupted, ctx.Err(), "interrupted after %d of %d blobs were removed", c.report.Removed.Blobs, len(found))
			}
		}
	}
	c.progress("removal")
	return nil
}
