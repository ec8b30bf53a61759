package broker

import "testing"

// SetSync has something else done in place of each sync, which is given as really. It is called before there are clients.
func (b *Broker) SetSync(sync func(path string, really func(string) error) error) {
	b.barrier.mu.Lock()
	defer b.barrier.mu.Unlock()
	b.barrier.sync = func(path string) error { return sync(path, syncPath) }
}

// Overflow has the kernel's queue of changes seem to have run over.
func (b *Broker) Overflow() error {
	b.barrier.mu.Lock()
	defer b.barrier.mu.Unlock()
	return b.barrier.changes.watch(b.config.DataDir)
}

// Changes are the files and folders that changed below a folder, each time that it is called.
func Changes(t testing.TB, dir string) (changed func() map[string]bool, overflow func()) {
	t.Helper()
	c, err := watchChanges(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	changed = func() map[string]bool {
		paths := map[string]bool{}
		if err := c.each(func(path string) { paths[path] = true }); err != nil {
			t.Fatal(err)
		}
		return paths
	}
	return changed, func() {
		if err := c.watch(c.root); err != nil {
			t.Fatal(err)
		}
	}
}

// Failed receives why the broker ends.
func (b *Broker) Failed() <-chan error { return b.failed }
