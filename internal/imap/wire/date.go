package wire

import (
	"strings"
	"time"
)

// Date is a day, as SEARCH has it: without time or zone.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf is the day of a time in the time's own zone.
func DateOf(t time.Time) Date {
	year, month, day := t.Date()
	return Date{year, month, day}
}

// Compare is negative, zero or positive as d is before, on or after e.
func (d Date) Compare(e Date) int {
	if d.Year != e.Year {
		return d.Year - e.Year
	}
	if d.Month != e.Month {
		return int(d.Month) - int(e.Month)
	}
	return d.Day - e.Day
}

// Number counts days since 1 January 1970.
func (d Date) Number() int64 {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC).Unix() / SecondsPerDay
}

// SecondsPerDay is how long a day is.
const SecondsPerDay = 24 * 60 * 60

const internalDateLayout = "02-Jan-2006 15:04:05 -0700"

// FormatInternalDate gives a date-time as INTERNALDATE has it, without the quotes. Years beyond four digits, which the
// grammar cannot say, become the nearest that it can.
func FormatInternalDate(t time.Time) string {
	if t.Year() < 0 {
		t = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	} else if t.Year() > 9999 {
		t = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	}
	s := t.Format(internalDateLayout)
	if s[0] == '0' {
		s = " " + s[1:] // date-day-fixed
	}
	return s
}

// appendInternalDate appends what FormatInternalDate gives, for seconds since 1970 UTC in a zone so many minutes east of it. A
// folder can have a million of them.
func appendInternalDate(b []byte, seconds int64, zone int16) []byte {
	t := time.Unix(seconds+60*int64(zone), 0).UTC()
	year, month, day := t.Date()
	sign, east := byte('+'), int(zone)
	if zone < 0 {
		sign, east = '-', -east
	}
	if year < 0 || year > 9999 || east >= 100*60 {
		return append(b, FormatInternalDate(time.Unix(seconds, 0).In(time.FixedZone("", int(zone)*60)))...)
	}
	hour, minute, second := t.Clock()
	b = appendTwo(b, day, ' ')
	b = append(b, '-')
	b = append(b, month.String()[:3]...)
	b = append(b, '-')
	b = appendTwo(appendTwo(b, year/100, '0'), year%100, '0')
	b = append(appendTwo(append(b, ' '), hour, '0'), ':')
	b = append(appendTwo(b, minute, '0'), ':')
	b = append(appendTwo(b, second, '0'), ' ', sign)
	return appendTwo(appendTwo(b, east/60, '0'), east%60, '0')
}

// appendTwo appends a number below 100 in two characters.
func appendTwo(b []byte, n int, pad byte) []byte {
	if n < 10 {
		return append(b, pad, byte('0'+n))
	}
	return append(b, byte('0'+n/10), byte('0'+n%10))
}

// ParseInternalDate reads a date-time (RFC 3501 section 9), without the quotes.
func ParseInternalDate(s string) (time.Time, bool) {
	// Go takes more than the grammar has, so the fixed width is checked first.
	if len(s) != len(internalDateLayout) || s[20] != ' ' || s[21] != '+' && s[21] != '-' {
		return time.Time{}, false
	}
	if s[0] == ' ' {
		s = "0" + s[1:]
	}
	hours, minutes := s[22:24], s[24:26]
	if !digits(s[12:14]) || !digits(hours) || !digits(minutes) || hours > "23" || minutes > "59" {
		return time.Time{}, false
	}
	t, err := time.Parse("02-Jan-2006 15:04:05", s[:20])
	if err != nil {
		return time.Time{}, false
	}
	offset := (int(hours[0]-'0')*10+int(hours[1]-'0'))*3600 + (int(minutes[0]-'0')*10+int(minutes[1]-'0'))*60
	if s[21] == '-' {
		offset = -offset
	}
	return t.Add(time.Duration(-offset) * time.Second).In(time.FixedZone("", offset)), true
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

func (p *parser) dateTime() time.Time {
	t, ok := ParseInternalDate(p.string())
	if !ok {
		p.fail("Invalid date-time")
	}
	return t
}

// date takes a date of SEARCH, quoted or not: 1-Feb-1994.
func (p *parser) date() Date {
	s := p.astring()
	if len(s) == len("1-Feb-1994") {
		s = "0" + s
	}
	t, err := time.Parse("02-Jan-2006", s)
	if err != nil || len(s) != len("02-Jan-2006") {
		p.fail("Invalid date")
	}
	return DateOf(t)
}
