package directory

import "context"

// ChangesRowsMax lets tests write more than a page.
const ChangesRowsMax = changesRowsMax

// NetworkFilesystem is how a folder's filesystem is judged by its magic number.
func NetworkFilesystem(magic uint32) bool { return networkFilesystems[magic] != "" }

// AllAccounts gives every account and list, by name.
func AllAccounts(ctx context.Context, d *Directory) ([]Account, error) {
	var all []Account
	err := d.store.read(ctx, func(q *query) (err error) {
		all, err = rows(q, scanAccount, "SELECT "+accountColumns+" FROM accounts ORDER BY name")
		return err
	})
	return all, err
}

// AccountByName gives an account or a list of the directory itself by name.
func AccountByName(ctx context.Context, d *Directory, name string) (Account, error) {
	var a Account
	err := d.store.read(ctx, func(q *query) (err error) {
		a, err = q.mustKnowName(name)
		return err
	})
	return a, err
}
