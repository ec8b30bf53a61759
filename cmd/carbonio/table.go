package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// writeTables writes a table of the records, and one more of what is nested in them.
func writeTables(w io.Writer, all records, width int) {
	if len(all) == 0 {
		fmt.Fprintln(w, "(none)")
		return
	}
	writeTable(w, all, width)
	var nested records
	for _, r := range all {
		for _, f := range r {
			if more, ok := f.value.(records); ok {
				nested = append(nested, more...)
			}
		}
	}
	if len(nested) > 0 {
		fmt.Fprintln(w)
		writeTable(w, nested, width)
	}
}

const (
	columnGap      = 2
	headerWidthMin = 6  // to which the name of a column is cut on a narrow terminal
	textWidthMin   = 20 // to which prose is broken
)

// column is a column of a table: its header, then its cells.
type column struct {
	name         string
	cells        []string
	text         bool
	spare        int
	width, least int
}

// writeTable writes a table that fits the terminal. What names or counts something is never cut, for it is there to be
// compared and copied: prose is broken into lines, then spare columns are left out, and if nothing else helps, every record
// is a block of its own.
func writeTable(w io.Writer, all records, terminalWidth int) {
	columns, left, fits := fit(columnsOf(all), terminalWidth)
	if !fits {
		for i, r := range all {
			if i > 0 {
				fmt.Fprintln(w)
			}
			writeBlock(w, r)
		}
		return
	}
	header := make([][]string, len(columns))
	for i, c := range columns {
		header[i] = []string{cut(c.name, c.width)}
	}
	writeRow(w, columns, header)
	for i := range all {
		row := make([][]string, len(columns))
		for j, c := range columns {
			row[j] = wrap(c.cells[i], c.width)
		}
		writeRow(w, columns, row)
	}
	if len(left) > 0 {
		fmt.Fprintf(w, "(left out for want of room, but not by --json: %s)\n", strings.Join(left, " "))
	}
}

func columnsOf(all records) []column {
	var columns []column
	for _, f := range all[0] {
		if _, nested := f.value.(records); !nested && !f.more {
			columns = append(columns, column{name: f.name, text: f.text, spare: f.spare})
		}
	}
	for _, r := range all {
		i := 0
		for _, f := range r {
			if _, nested := f.value.(records); !nested && !f.more {
				columns[i].cells = append(columns[i].cells, printable(textOf(f.value)))
				i++
			}
		}
	}
	for i := range columns {
		columns[i].measure()
	}
	return columns
}

func (c *column) measure() {
	for _, cell := range c.cells {
		c.least = max(c.least, utf8.RuneCountInString(cell))
	}
	c.width = max(c.least, utf8.RuneCountInString(c.name))
	if c.text {
		c.least = min(c.least, textWidthMin)
	}
	c.least = max(c.least, min(headerWidthMin, utf8.RuneCountInString(c.name)))
}

// fit gives the columns that there is room for, with their widths, and the names of those that are left out.
func fit(columns []column, terminalWidth int) (kept []column, left []string, fits bool) {
	least := func() int {
		total := columnGap * (len(columns) - 1)
		for _, c := range columns {
			total += c.least
		}
		return total
	}
	for least() > terminalWidth {
		widest := slices.MaxFunc(columns, func(a, b column) int { return a.spare - b.spare })
		if widest.spare == 0 {
			return nil, nil, false
		}
		left = append(left, widest.name)
		columns = slices.DeleteFunc(columns, func(c column) bool { return c.name == widest.name })
	}
	total := columnGap * (len(columns) - 1)
	for _, c := range columns {
		total += c.width
	}
	for ; total > terminalWidth; total-- {
		slack := func(c column) int { return c.width - c.least }
		roomiest := 0
		for i := range columns {
			if slack(columns[i]) > slack(columns[roomiest]) {
				roomiest = i
			}
		}
		columns[roomiest].width--
	}
	return columns, left, true
}

// writeRow writes cells of one or more lines side by side.
func writeRow(w io.Writer, columns []column, cells [][]string) {
	height := 0
	for _, lines := range cells {
		height = max(height, len(lines))
	}
	for n := range height {
		var b strings.Builder
		for i, lines := range cells {
			text := ""
			if n < len(lines) {
				text = lines[n]
			}
			b.WriteString(text)
			b.WriteString(strings.Repeat(" ", columns[i].width-utf8.RuneCountInString(text)+columnGap))
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// wrap breaks a text into lines of at most width characters, between words where it can.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		runes := []rune(word)
		for ; len(runes) > width; runes = runes[width:] {
			lines = append(lines, string(runes[:width]))
		}
		line = string(runes)
	}
	return append(lines, line)
}

func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}

// writeBlock writes a record as one field a line, in full.
func writeBlock(w io.Writer, r record) {
	width := 0
	for _, f := range r {
		width = max(width, len(f.name))
	}
	for _, f := range r {
		if _, nested := f.value.(records); nested || f.more || f.table {
			continue
		}
		text := strings.Split(textOf(f.value), "\n")
		for i := range text {
			text[i] = printable(text[i])
		}
		line := fmt.Sprintf("%-*s  %s", width, f.name, strings.Join(text, "\n"+strings.Repeat(" ", width+2)))
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}
