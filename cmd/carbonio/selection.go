package main

import (
	"os"
	"strings"

	"mailreplica/internal/account"
	"mailreplica/internal/admin"
	"mailreplica/internal/fault"
)

// selection reads the accounts that the command line, or the file that it names, selects.
func (s *session) selection() (admin.Selection, error) {
	selected := admin.Selection{All: s.all}
	if list, given := s.values["accounts"]; given {
		names, err := account.ParseList(list)
		if err != nil {
			return selected, err
		}
		selected.Accounts = names
	}
	if path, given := s.values["input_file"]; given {
		names, err := account.ReadListFile(path)
		if err != nil {
			return selected, fault.Wrap(fault.KindOf(err), err, "%s", fault.Message(err)).
				WithHint("want a file with one name or id a line; nothing was changed")
		}
		selected.Accounts = append(selected.Accounts, names...)
		selected.File, selected.Lines = path, linesOf(path, names)
	}
	return selected, nil
}

// linesOf gives the lines on which a file that could be read names its entries, so that the mailstore can tell them of one
// that it does not know. A pipe is not there to be read again: nil.
func linesOf(path string, entries []string) []int {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	first := make(map[string]int, len(entries))
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\xef\xbb\xbf")) {
		number++
		entry, err := account.ParseEntry(line)
		if _, before := first[entry]; err == nil && !before {
			first[entry] = number
		}
	}
	lines := make([]int, len(entries))
	for i, entry := range entries {
		lines[i] = first[entry]
	}
	return lines
}
