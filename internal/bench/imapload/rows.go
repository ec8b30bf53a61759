package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// row is one kind of work on a folder. Before each turn some commands bring the folder into the state that the turn begins with;
// they are not measured.
type row struct {
	name     string
	before   []string
	commands []string
}

// rowsOf are what is measured on a folder of n messages. Bodies are those of the first ones.
func rowsOf(folder string, n, bodies, part int) []row {
	selected := []string{"SELECT " + folder}
	one := func(name, command string) row { return row{name: name, commands: []string{command}} }
	flagged := func(sign, silent, set string) string {
		return fmt.Sprintf(`STORE %s %sFLAGS%s (\Flagged)`, set, sign, silent)
	}
	some := fmt.Sprintf("%d:%d", n/4+1, n/4+part)
	emptied := []string{"CREATE copies", "SELECT " + folder}
	return []row{
		{"SELECT", []string{"UNSELECT"}, selected},
		one("FETCH 1:* FLAGS", "FETCH 1:* FLAGS"),
		one("FETCH 1:* (UID FLAGS)", "FETCH 1:* (UID FLAGS)"),
		one("FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)", "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)"),
		one("FETCH 1:* ENVELOPE", "FETCH 1:* ENVELOPE"),
		one("FETCH 1:* BODYSTRUCTURE", "FETCH 1:* BODYSTRUCTURE"),
		one(fmt.Sprintf("FETCH 1:%d BODY.PEEK[]", bodies), fmt.Sprintf("FETCH 1:%d BODY.PEEK[]", bodies)),
		one(fmt.Sprintf("FETCH 1:%d BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE)]", bodies),
			fmt.Sprintf("FETCH 1:%d BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE)]", bodies)),
		one("SEARCH ALL", "UID SEARCH ALL"),
		one("SEARCH UNSEEN", "SEARCH UNSEEN"),
		one("SEARCH KEYWORD", "SEARCH KEYWORD $Work"),
		one("SEARCH SINCE", "SEARCH SINCE 1-Feb-2025"),
		one("SEARCH SUBJECT", "SEARCH SUBJECT government"),
		one("SEARCH FROM", "SEARCH FROM sender07"),
		one(fmt.Sprintf("SEARCH 1:%d HEADER References", bodies), fmt.Sprintf("SEARCH 1:%d HEADER References nowhere", bodies)),
		one(fmt.Sprintf("SEARCH 1:%d BODY", bodies), fmt.Sprintf("SEARCH 1:%d BODY xylophone", bodies)),
		{"STORE " + some + " +FLAGS.SILENT", []string{flagged("-", ".SILENT", some)}, []string{flagged("+", ".SILENT", some)}},
		{"STORE " + some + " +FLAGS", []string{flagged("-", ".SILENT", some)}, []string{flagged("+", "", some)}},
		{"STORE 1:* +FLAGS.SILENT", []string{flagged("-", ".SILENT", "1:*")}, []string{flagged("+", ".SILENT", "1:*")}},
		{"COPY " + some, emptied, []string{"COPY " + some + " copies", "DELETE copies"}[:1]},
		{"COPY 1:*", emptied, []string{"COPY 1:* copies"}},
	}
}

// measured is what the turns of a row took.
type measured struct {
	name  string
	wall  []time.Duration
	cpu   []time.Duration
	bytes int64
}

// measure works through the rows whose names match, each some times after one that is not counted.
func measure(s *session, of processes, rows []row, only *regexp.Regexp, turns int) error {
	fmt.Println("wall ms      min      max   CPU ms      KiB  work")
	for _, r := range rows {
		if !only.MatchString(r.name) {
			continue
		}
		m := measured{name: r.name}
		for turn := -1; turn < turns; turn++ {
			if err := r.prepare(s); err != nil {
				return err
			}
			before, err := of.usage()
			if err != nil {
				return err
			}
			begun := time.Now()
			m.bytes = 0
			for _, command := range r.commands {
				size, err := s.do(command)
				if err != nil {
					return err
				}
				m.bytes += size
			}
			wall := time.Since(begun)
			after, err := of.usage()
			if err != nil {
				return err
			}
			if turn >= 0 {
				m.wall, m.cpu = append(m.wall, wall), append(m.cpu, after.cpu-before.cpu)
			}
		}
		if strings.HasPrefix(r.name, "COPY") {
			if _, err := s.do("DELETE copies"); err != nil {
				return err
			}
		}
		m.print()
	}
	return nil
}

func (r row) prepare(s *session) error {
	for _, command := range r.before {
		if strings.HasPrefix(command, "CREATE ") { // left by the turn before
			_, _ = s.do("DELETE " + strings.TrimPrefix(command, "CREATE "))
		}
		if _, err := s.do(command); err != nil && command != "UNSELECT" {
			return err
		}
	}
	return nil
}

func median(of []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(of))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)/2]
}

func (m measured) print() {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	fmt.Printf("%7.2f  %7.2f  %7.2f  %7.2f  %7d  %s\n", ms(median(m.wall)), ms(slices.Min(m.wall)), ms(slices.Max(m.wall)),
		ms(median(m.cpu)), m.bytes>>10, m.name)
}
