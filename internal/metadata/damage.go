package metadata

import (
	"math"

	"mailreplica/internal/fault"
)

// anewHint is for a database that cannot be read as a whole.
const anewHint = "promote the mailstore's accounts, set its data directory aside, and start it: its replicas are made anew"

// damaged is the error for what no release wrote: the database is damaged, or somebody wrote into it. Nothing is made of it, for a UID
// that is another's, or a size that is cut, would be told to clients as if it were true.
func damaged(format string, args ...any) *fault.Error {
	return fault.New(fault.DatabaseUnavailable, format+" is damaged", args...).
		WithHint("promote a replica of the account; where there is none, restore the mailstore's database from a backup")
}

// isUID reports whether a number can be that of a message.
func isUID(uid int64) bool { return uid > 0 && uid <= math.MaxUint32 }

// sound reports whether a message's numbers fit into what they are.
func (s *messageScan) sound() bool {
	return isUID(s.uid) && s.modseq >= 0 && s.flags >= 0 && s.flags <= math.MaxUint8 && int64(int16(s.zone)) == s.zone
}

// fill copies bytes of a fixed length, and reports whether there are as many.
func fill(dest, bytes []byte) bool { return len(bytes) == len(dest) && copy(dest, bytes) == len(dest) }
