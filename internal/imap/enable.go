package imap

import (
	"strings"

	"mailreplica/internal/imap/wire"
)

// enable answers ENABLE (RFC 5161). QRESYNC brings CONDSTORE with it (RFC 7162 section 3.2.3).
func (s *session) enable(c *wire.Command) (outcome, error) {
	var enabled []string
	for _, capability := range c.Args.(*wire.Enable).Capabilities {
		switch capability {
		case "CONDSTORE":
			if err := s.enableCondstore(); err != nil {
				return outcome{}, err
			}
		case "QRESYNC":
			if err := s.enableCondstore(); err != nil {
				return outcome{}, err
			}
			s.qresync = true
		default:
			continue
		}
		enabled = append(enabled, capability)
	}
	s.out.Untagged(strings.TrimRight("ENABLED "+strings.Join(enabled, " "), " "))
	return outcome{text: "Enabled"}, nil
}
