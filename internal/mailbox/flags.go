package mailbox

import (
	"slices"
	"strings"

	"mailreplica/internal/fault"
)

// Limits on keywords.
const (
	keywordsPerMessageMax = 128
	keywordBytesMax       = 255
)

// AllSystemFlags has every system flag.
const AllSystemFlags = Seen | Answered | Flagged | Deleted | DraftFlag

// Equal reports whether both have the same system flags and the same keywords in the same spelling.
func (f Flags) Equal(g Flags) bool {
	return f.System == g.System && slices.Equal(f.Keywords, g.Keywords)
}

// Has reports whether all of the given system flags are set.
func (f Flags) Has(flags SystemFlags) bool { return f.System&flags == flags }

// HasKeyword reports whether the keyword is set, without regard to ASCII case.
func (f Flags) HasKeyword(keyword string) bool {
	return slices.ContainsFunc(f.Keywords, func(k string) bool { return equalFold(k, keyword) })
}

// With is f and g together. Where they spell a keyword differently f's spelling stays.
func (f Flags) With(g Flags) Flags {
	f.System |= g.System
	if len(g.Keywords) == 0 {
		return f
	}
	keywords := slices.Clone(f.Keywords)
	for _, k := range g.Keywords {
		if !slices.ContainsFunc(keywords, func(have string) bool { return equalFold(have, k) }) {
			keywords = append(keywords, k)
		}
	}
	slices.Sort(keywords)
	f.Keywords = keywords
	return f
}

// Without is f less the flags and keywords of g.
func (f Flags) Without(g Flags) Flags {
	f.System &^= g.System
	if len(g.Keywords) == 0 || len(f.Keywords) == 0 {
		return f
	}
	var keywords []string
	for _, k := range f.Keywords {
		if !g.HasKeyword(k) {
			keywords = append(keywords, k)
		}
	}
	f.Keywords = keywords
	return f
}

// replacedBy is g, with f's spelling of the keywords that both have.
func (f Flags) replacedBy(g Flags) Flags {
	if len(g.Keywords) == 0 || len(f.Keywords) == 0 {
		return g
	}
	keywords := slices.Clone(g.Keywords)
	for i, k := range keywords {
		for _, have := range f.Keywords {
			if equalFold(have, k) {
				keywords[i] = have
			}
		}
	}
	slices.Sort(keywords)
	return Flags{System: g.System, Keywords: keywords}
}

// Canonical gives the flags as Flags must be: keywords sorted, and of two that differ in ASCII case only the first. It
// refuses unknown system flags, keywords that are no atoms (RFC 3501 section 9, flag-keyword), and too many of them.
func (f Flags) Canonical() (Flags, error) {
	if f.System&^AllSystemFlags != 0 {
		return Flags{}, fault.New(fault.Invalid, "unknown system flag")
	}
	for _, k := range f.Keywords {
		if !validKeyword(k) {
			return Flags{}, fault.New(fault.Invalid,
				"%q is no keyword: a keyword has 1 to %d printable ASCII characters, none of ( ) { %% * \" \\ ]", k, keywordBytesMax)
		}
	}
	canonical := Flags{System: f.System}.With(Flags{Keywords: f.Keywords})
	return canonical, canonical.checkCount()
}

func (f Flags) checkCount() error {
	if len(f.Keywords) > keywordsPerMessageMax {
		return fault.New(fault.TooLarge, "a message has at most %d keywords", keywordsPerMessageMax)
	}
	return nil
}

// isCanonical is what an overlay asks of flags that somebody else decided.
func (f Flags) isCanonical() bool {
	if f.System&^AllSystemFlags != 0 || len(f.Keywords) > keywordsPerMessageMax {
		return false
	}
	for i, k := range f.Keywords {
		if !validKeyword(k) || i > 0 && f.Keywords[i-1] >= k {
			return false
		}
		for _, other := range f.Keywords[:i] {
			if equalFold(other, k) {
				return false
			}
		}
	}
	return true
}

func validKeyword(k string) bool {
	if len(k) == 0 || len(k) > keywordBytesMax {
		return false
	}
	for i := range len(k) {
		if k[i] <= ' ' || k[i] >= 0x7f || strings.IndexByte(`(){%*"\]`, k[i]) >= 0 {
			return false
		}
	}
	return true
}

// equalFold compares without regard to ASCII case; strings.EqualFold would fold other letters too.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}
