package wire

import (
	"cmp"
	"math"
	"slices"
	"strconv"
)

// Range is the numbers from Start to Stop, in either order. 0 stands for "*", the largest number in use.
type Range struct{ Start, Stop uint32 }

// NumSet is a set of sequence numbers or UIDs (sequence-set, uid-set). As parsed it is in the client's order; Resolve
// makes it ascending.
type NumSet []Range

// SequenceSet names messages: by numbers, or by "$", the saved result of a search (RFC 5182).
type SequenceSet struct {
	Nums  NumSet
	Saved bool
}

// ParseNumSet reads a set as it stands on the wire.
func ParseNumSet(s string) (NumSet, error) {
	p := &parser{text: []byte(s)}
	set := p.numSet(true)
	p.end()
	if p.err != nil {
		return nil, p.err
	}
	return set, nil
}

// sequenceSet takes a set or "$".
func (p *parser) sequenceSet() SequenceSet {
	if p.take('$') {
		return SequenceSet{Saved: true}
	}
	return SequenceSet{Nums: p.numSet(true)}
}

// numSet takes a set; star says whether "*" is allowed. Ranges that continue the one before are joined, so that long
// lists of single numbers stay small.
func (p *parser) numSet(star bool) NumSet {
	var set NumSet
	for {
		r := Range{Start: p.setNumber(star)}
		r.Stop = r.Start
		if p.take(':') {
			r.Stop = p.setNumber(star)
		}
		if p.err != nil {
			return nil
		}
		if n := len(set) - 1; n >= 0 && r.Start == r.Stop && r.Start != 0 && set[n].Start <= set[n].Stop && set[n].Start != 0 &&
			set[n].Stop+1 == r.Start {
			set[n].Stop = r.Stop
		} else {
			set = append(set, r)
		}
		if !p.take(',') {
			return set
		}
	}
}

func (p *parser) setNumber(star bool) uint32 {
	if star && p.take('*') {
		return 0
	}
	return p.nonZero32()
}

// NumSetOf makes a set of ascending numbers.
func NumSetOf(nums ...uint32) NumSet {
	var set NumSet
	for _, n := range nums {
		set = set.Append(n)
	}
	return set
}

// Append adds a number greater than all in the set.
func (s NumSet) Append(n uint32) NumSet {
	if last := len(s) - 1; last >= 0 && s[last].Stop+1 == n {
		s[last].Stop = n
		return s
	}
	return append(s, Range{n, n})
}

// Resolve gives the set ascending, without overlaps, without "*", given the largest number in use. If that is 0, ranges
// with "*" name nothing.
func (s NumSet) Resolve(largest uint32) NumSet {
	sorted := make(NumSet, 0, len(s))
	for _, r := range s {
		if (r.Start == 0 || r.Stop == 0) && largest == 0 {
			continue
		}
		if r.Start == 0 {
			r.Start = largest
		}
		if r.Stop == 0 {
			r.Stop = largest
		}
		sorted = append(sorted, Range{min(r.Start, r.Stop), max(r.Start, r.Stop)})
	}
	slices.SortFunc(sorted, func(a, b Range) int { return cmp.Compare(a.Start, b.Start) })
	merged := sorted[:0]
	for _, r := range sorted {
		last := len(merged) - 1
		if last >= 0 && (merged[last].Stop == math.MaxUint32 || r.Start <= merged[last].Stop+1) {
			merged[last].Stop = max(merged[last].Stop, r.Stop)
		} else {
			merged = append(merged, r)
		}
	}
	return merged
}

// Contains reports whether a resolved set holds n.
func (s NumSet) Contains(n uint32) bool {
	_, found := slices.BinarySearchFunc(s, n, func(r Range, n uint32) int {
		switch {
		case r.Stop < n:
			return -1
		case r.Start > n:
			return 1
		}
		return 0
	})
	return found
}

// All yields the numbers of a resolved set, ascending.
func (s NumSet) All(yield func(uint32) bool) {
	for _, r := range s {
		for n := uint64(r.Start); n <= uint64(r.Stop); n++ {
			if !yield(uint32(n)) {
				return
			}
		}
	}
}

// String is the set as it stands on the wire.
func (s NumSet) String() string { return string(s.AppendTo(nil)) }

// AppendTo appends the set as it stands on the wire.
func (s NumSet) AppendTo(b []byte) []byte {
	for i, r := range s {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSetNumber(b, r.Start)
		if r.Stop != r.Start {
			b = append(b, ':')
			b = appendSetNumber(b, r.Stop)
		}
	}
	return b
}

func appendSetNumber(b []byte, n uint32) []byte {
	if n == 0 {
		return append(b, '*')
	}
	return strconv.AppendUint(b, uint64(n), 10)
}
