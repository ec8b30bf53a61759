package mailbox

// Lower makes a draft's limits small enough for a test to reach.
func (d *Draft) Lower(tombstonesPerFolder, deliveries int) {
	d.limits = limits{tombstonesPerFolder, deliveries}
}

// DefaultLimits are those of a draft that no test has lowered.
func DefaultLimits() (tombstonesPerFolder, deliveries int) {
	return tombstonesPerFolderMax, deliveriesMax
}
