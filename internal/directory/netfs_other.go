//go:build !linux

package directory

// refuseNetwork lets every folder through: only Linux is run in production, elsewhere the file is a developer's own.
func refuseNetwork(string) error { return nil }
