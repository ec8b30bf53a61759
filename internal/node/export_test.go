package node

import (
	"context"

	"mailreplica/internal/metadata"
)

// HoldDatabase keeps the mailstore's database from taking anything until release is called.
func HoldDatabase(n *Node) (release func()) {
	held, free, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_ = n.store.Update(context.Background(), metadata.Lazy, func(*metadata.Tx) error {
			close(held)
			<-free
			return nil
		})
	}()
	<-held
	return func() {
		close(free)
		<-done
	}
}
