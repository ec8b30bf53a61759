package broker

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

// Failed receives why the broker ends.
func (b *Broker) Failed() <-chan error { return b.failed }
