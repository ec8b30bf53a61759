package traffic

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// numberHeader tells mails apart.
const numberHeader = "X-Number"

// Mail is the mail of a number, whose bytes are always the same.
func Mail(number int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d\r\nFrom: sender@example.net\r\nTo: user@example.com\r\nSubject: mail %d\r\nMessage-ID: <%d@example.net>\r\n\r\n",
		numberHeader, number, number, number)
	for line := range 1 + number*7%60 {
		fmt.Fprintf(&b, "line %d of mail %d %s\r\n", line, number, strings.Repeat("x", (number+line)%60))
	}
	return b.String()
}

var numberLine = regexp.MustCompile(`(?im)^` + numberHeader + `: (\d+)\r?$`)

// numberOf is the number of a mail, 0 if it is none of ours.
func numberOf(text []byte) int {
	m := numberLine.FindSubmatch(text)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		return 0
	}
	return n
}

// isWhole reports whether a message is the mail of its number, with what servers may put in front.
func isWhole(text []byte) bool {
	n := numberOf(text)
	return n > 0 && strings.HasSuffix(string(text), Mail(n))
}
