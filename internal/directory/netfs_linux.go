package directory

import (
	"syscall"

	"mailreplica/internal/fault"
)

// networkFilesystems are the magic numbers (statfs(2)) of filesystems on which SQLite's write-ahead log, memory shared
// by all its users, cannot work between machines, and on which its locks are not to be trusted.
var networkFilesystems = map[uint32]string{
	0x00006969: "NFS",
	0x0000517b: "SMB",
	0xfe534d42: "SMB2",
	0xff534d42: "CIFS",
	0x65735546: "FUSE",
	0x01021997: "9P",
	0x00c36400: "Ceph",
	0x0bd00bd0: "Lustre",
	0x5346414f: "AFS",
	0x73757245: "Coda",
	0x01161970: "GFS2",
	0x7461636f: "OCFS2",
	0x47504653: "GPFS",
}

// refuseNetwork refuses a folder on a network filesystem. A folder that is not there yet is let through: it is asked
// about again when the file is opened.
func refuseNetwork(folder string) error {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil {
		return nil
	}
	name, network := networkFilesystems[uint32(stat.Type)]
	if !network {
		return nil
	}
	return fault.New(fault.Invalid, "%s lies on a network filesystem (%s)", folder, name).
		WithHint("put the SQLite directory on a local disk; mailstores on several hosts need the MariaDB directory")
}
