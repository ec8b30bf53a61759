package message

import (
	"net/url"
	"strconv"
	"strings"
)

// parseContentType reads as much as can be of a Content-Type. Without a type that can be read it is text/plain
// (RFC 2045 5.2).
func parseContentType(value []byte) (mainType, subtype string, params []Param) {
	s := scanner{b: value}
	s.skip()
	mainType = s.token()
	s.skip()
	if s.is('/') {
		s.i++
		s.skip()
		subtype = s.token()
	}
	if len(mainType) > tokenBytesMax || len(subtype) > tokenBytesMax {
		mainType, subtype = "application", "octet-stream"
	}
	if subtype == "" {
		mainType, subtype = withoutSubtype(mainType)
	}
	return mainType, subtype, s.params()
}

// withoutSubtype guesses what was meant.
func withoutSubtype(mainType string) (string, string) {
	if strings.EqualFold(mainType, "multipart") {
		return mainType, "mixed"
	}
	return "text", "plain"
}

func parseDisposition(value []byte) (disposition string, params []Param) {
	s := scanner{b: value}
	s.skip()
	disposition = s.shortToken()
	if disposition == "" {
		return "", nil
	}
	return disposition, s.params()
}

func parseLanguages(value []byte) []string {
	var languages []string
	s := scanner{b: value}
	for !s.done() && len(languages) < languagesMax {
		s.skip()
		if l := s.shortToken(); l != "" {
			languages = append(languages, l)
		} else {
			s.i++
		}
	}
	return languages
}

// params reads parameters up to the end. It copes with missing semicolons, and with unquoted values that hold blanks
// and specials. Of two with the same name the first counts: two readers must not see different names of one file.
func (s *scanner) params() []Param {
	var params []Param
	for !s.done() && len(params) < paramsMax {
		for s.skip(); s.is(';'); s.skip() {
			s.i++
		}
		name := s.token()
		s.skip()
		if !s.is('=') {
			s.skipToSemicolon()
			continue
		}
		s.i++
		s.skip()
		value := s.paramValue()
		if name != "" && len(name) <= tokenBytesMax && !hasParam(params, name) {
			params = append(params, Param{name, value[:min(len(value), paramValueBytesMax)]})
		}
	}
	return params
}

func hasParam(params []Param, name string) bool {
	for _, p := range params {
		if strings.EqualFold(p.Name, name) {
			return true
		}
	}
	return false
}

func (s *scanner) skipToSemicolon() {
	for !s.done() && !s.is(';') {
		if s.is('"') {
			s.quoted()
		} else {
			s.i++
		}
	}
}

// paramValue reads a value up to its semicolon, or to the next parameter where that is missing.
func (s *scanner) paramValue() string {
	if s.is('"') {
		value := s.quoted()
		s.skip()
		if !s.is(';') && !s.atParam() {
			s.skipToSemicolon()
		}
		return value
	}
	var value []byte
	for {
		start := s.i
		for !s.done() && !s.is(';') && !isBlank(s.b[s.i]) {
			s.i++
		}
		value = append(value, s.b[start:s.i]...)
		s.skip()
		if s.done() || s.is(';') || s.atParam() {
			return string(value)
		}
		value = append(value, ' ')
	}
}

// atParam reports whether "token=" follows.
func (s *scanner) atParam() bool {
	i := s.i
	for i < len(s.b) && isToken(s.b[i]) {
		i++
	}
	return i > s.i && i < len(s.b) && s.b[i] == '='
}

// boundaryOf finds the boundary among the parameters, also where it is written as RFC 2231 has it; "" if there is none
// that can be used.
func boundaryOf(params []Param) string {
	value, extended := "", ""
	pieces := map[int]string{}
	for _, p := range params {
		name := strings.ToLower(p.Name)
		switch {
		case name == "boundary":
			value = p.Value
		case name == "boundary*":
			extended = decodeExtended(p.Value, true)
		case strings.HasPrefix(name, "boundary*"):
			number, encoded := strings.CutSuffix(name[len("boundary*"):], "*")
			if n, err := strconv.Atoi(number); err == nil && encoded {
				pieces[n] = decodeExtended(p.Value, n == 0)
			} else if err == nil {
				pieces[n] = p.Value
			}
		}
	}
	if value == "" {
		value = extended
	}
	if value == "" {
		for n := range paramsMax {
			piece, ok := pieces[n]
			if !ok {
				break
			}
			value += piece
		}
	}
	value = strings.TrimRight(value, " \t") // RFC 2046 5.1.1: boundaries do not end in blanks
	if len(value) > boundaryBytesMax {
		return ""
	}
	return value
}

// decodeExtended undoes the percent encoding of RFC 2231 section 4. The charset of a boundary does not matter.
func decodeExtended(value string, hasCharset bool) string {
	if hasCharset {
		if i := strings.LastIndexByte(value, '\''); i >= 0 {
			value = value[i+1:]
		}
	}
	decoded, err := url.PathUnescape(value)
	if err != nil {
		return value
	}
	return decoded
}
