package wire_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"mailreplica/internal/imap/wire"
)

func TestNumSet(t *testing.T) {
	for _, test := range []struct {
		in, parsed string
		largest    uint32
		resolved   string
	}{
		{"1", "1", 9, "1"},
		{"*", "*", 9, "9"},
		{"*", "*", 0, ""},
		{"1:*", "1:*", 0, ""},
		{"5:*", "5:*", 3, "3:5"}, // RFC 3501 section 9: the order does not matter
		{"*:3", "*:3", 9, "3:9"},
		{"4:2", "4:2", 9, "2:4"},
		{"9,1:3,2:5,6", "9,1:3,2:6", 9, "1:6,9"},
		{"1,2,3,5", "1:3,5", 9, "1:3,5"},
		{"4294967295,1:4294967295", "4294967295,1:4294967295", 9, "1:4294967295"},
		{"4294967294,4294967295", "4294967294:4294967295", 9, "4294967294:4294967295"},
		{"*,1", "*,1", 9, "1,9"},
		{"7:7", "7", 9, "7"},
		{"3:1,2", "3:1,2", 9, "1:3"},
	} {
		set, err := wire.ParseNumSet(test.in)
		if err != nil {
			t.Errorf("%s: %v", test.in, err)
			continue
		}
		if got := set.String(); got != test.parsed {
			t.Errorf("%s: parsed as %s, want %s", test.in, got, test.parsed)
		}
		if got := set.Resolve(test.largest).String(); got != test.resolved {
			t.Errorf("%s of %d: got %s, want %s", test.in, test.largest, got, test.resolved)
		}
	}
	for _, in := range []string{"", "0", "a", "1,", ",1", "1:", ":1", "1:2:3", "1 2", "-1", "4294967296",
		"1:0", "$", "**", "1:*:2", "99999999999999999999",
	} {
		if set, err := wire.ParseNumSet(in); err == nil {
			t.Errorf("%q: got %s, want an error", in, set)
		}
	}
}

func TestNumSetContains(t *testing.T) {
	set := wire.NumSetOf(1, 2, 3, 7, 9, 10, math.MaxUint32)
	if got := set.String(); got != "1:3,7,9:10,4294967295" {
		t.Errorf("got %s", got)
	}
	for n, want := range map[uint32]bool{0: false, 1: true, 3: true, 4: false, 7: true, 8: false, 10: true, 11: false, math.MaxUint32: true} {
		if got := set.Contains(n); got != want {
			t.Errorf("contains %d: got %v, want %v", n, got, want)
		}
	}
	if got := slices.Collect(set.All); !slices.Equal(got, []uint32{1, 2, 3, 7, 9, 10, math.MaxUint32}) {
		t.Errorf("got %v", got)
	}
	if wire.NumSet(nil).Contains(1) {
		t.Error("an empty set holds something")
	}
}

func TestInternalDate(t *testing.T) {
	for _, in := range []string{"17-Jul-1996 02:44:25 -0700", " 1-Feb-2024 00:00:00 +0530", "29-Feb-2024 23:59:59 +0000", "01-Jan-0001 00:00:00 +1400"} {
		date, ok := wire.ParseInternalDate(in)
		if !ok {
			t.Errorf("%q: not read", in)
			continue
		}
		want := in
		if in[0] == '0' {
			want = " " + in[1:]
		}
		if got := wire.FormatInternalDate(date); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if date, _ := wire.ParseInternalDate("17-Jul-1996 02:44:25 -0730"); !date.Equal(time.Date(1996, 7, 17, 10, 14, 25, 0, time.UTC)) {
		t.Errorf("got %v", date)
	}
	for _, in := range []string{
		"", "1-Feb-2024 00:00:00 +0000", "30-Feb-2024 00:00:00 +0000", "29-Feb-2023 00:00:00 +0000", "01-Feb-2024 24:00:00 +0000",
		"01-Feb-2024 00:60:00 +0000", "01-Feb-2024 00:00:00 +0060", "01-Feb-2024 00:00:00 +2400", "01-Feb-2024 00:00:00 *0000",
		"01-Foo-2024 00:00:00 +0000", "01-Feb-2024 00:00:00+00000", "01-Feb-2024  0:00:00 +0000", "01-Feb-2024 00:00:00 +0a00",
		"00-Feb-2024 00:00:00 +0000",
	} {
		if date, ok := wire.ParseInternalDate(in); ok {
			t.Errorf("%q: read as %v, want refused", in, date)
		}
	}
	if got := wire.FormatInternalDate(time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)); got != "31-Dec-9999 23:59:59 +0000" {
		t.Errorf("beyond the grammar: got %q", got)
	}
}

func TestDateCompare(t *testing.T) {
	day := wire.DateOf(time.Date(2024, 2, 3, 23, 59, 0, 0, time.FixedZone("", 3600)))
	for _, test := range []struct {
		other wire.Date
		sign  int
	}{
		{wire.Date{Year: 2024, Month: 2, Day: 3}, 0}, {wire.Date{Year: 2024, Month: 2, Day: 4}, -1}, {wire.Date{Year: 2024, Month: 1, Day: 31}, 1},
		{wire.Date{Year: 2025, Month: 1, Day: 1}, -1},
	} {
		if got := day.Compare(test.other); got*test.sign < 0 || (got == 0) != (test.sign == 0) {
			t.Errorf("%v against %v: got %d, want sign %d", day, test.other, got, test.sign)
		}
	}
}
