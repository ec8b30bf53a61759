package eventlog

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"mailreplica/internal/fault"
)

// portDefault is the port of a broker that names none.
const portDefault = 9092

// brokersMax bounds the list of brokers.
const brokersMax = 64

// ParseBrokers reads a comma separated list of brokers. An entry is a host name, an IPv4 address or an IPv6 address,
// with or without a port; an IPv6 address with a port stands in brackets. The result is in the order of the list, each
// as host:port. The error names the entry that is wrong.
func ParseBrokers(list string) ([]string, error) {
	if strings.TrimSpace(list) == "" {
		return nil, fault.New(fault.Invalid, "the list of brokers is empty").
			WithHint("name brokers as host:port, separated by commas")
	}
	var brokers []string
	seen := make(map[string]bool)
	for _, entry := range strings.Split(list, ",") {
		broker, err := parseBroker(strings.TrimSpace(entry))
		if err != nil {
			return nil, err
		}
		if seen[broker] {
			return nil, fault.New(fault.Invalid, "broker %q is named twice", broker)
		}
		seen[broker] = true
		brokers = append(brokers, broker)
	}
	if len(brokers) > brokersMax {
		return nil, fault.New(fault.Invalid, "%d brokers are named, at most %d are taken", len(brokers), brokersMax)
	}
	return brokers, nil
}

func parseBroker(entry string) (string, error) {
	if entry == "" {
		return "", fault.New(fault.Invalid, "the list of brokers has an empty entry")
	}
	host, port, err := splitBroker(entry)
	if err != nil {
		return "", err
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if !isZone(addr.Zone()) {
			return "", fault.New(fault.Invalid, "broker %q: %q is no zone of an address", entry, addr.Zone())
		}
		host = addr.String()
	} else if !isHostName(host) {
		return "", fault.New(fault.Invalid, "broker %q: %q is no host name and no address", entry, host)
	} else {
		host = strings.ToLower(host)
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), nil
}

// splitBroker separates host and port. A bare IPv6 address has colons but no port.
func splitBroker(entry string) (host string, port int, err error) {
	if inner, ok := strings.CutPrefix(entry, "["); ok {
		inner, rest, closed := strings.Cut(inner, "]")
		addr, err := netip.ParseAddr(inner)
		if !closed || err != nil || !addr.Is6() || (rest != "" && rest[0] != ':') {
			return "", 0, fault.New(fault.Invalid, "broker %q: brackets take one IPv6 address", entry)
		}
		if rest == "" {
			return inner, portDefault, nil
		}
		port, err := parsePort(entry, rest[1:])
		return inner, port, err
	}
	if addr, err := netip.ParseAddr(entry); err == nil && addr.Is6() {
		return entry, portDefault, nil
	}
	host, text, found := strings.Cut(entry, ":")
	if !found {
		return entry, portDefault, nil
	}
	if strings.Contains(text, ":") {
		return "", 0, fault.New(fault.Invalid, "broker %q: write an IPv6 address with a port as [address]:port", entry)
	}
	port, err = parsePort(entry, text)
	return host, port, err
}

func parsePort(entry, text string) (int, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, fault.New(fault.Invalid, "broker %q: %q is no port (1 to 65535)", entry, text)
	}
	return int(port), nil
}

const zoneCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

// isZone reports whether a text can be the zone of an IPv6 address, the name of an interface; most have none.
func isZone(zone string) bool {
	return len(zone) <= 15 && strings.Trim(zone, zoneCharacters) == ""
}

// isHostName is RFC 1123 section 2.1, with the underscore that private zones use. A name whose last label is all
// digits would be a mistyped IPv4 address.
func isHostName(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > 253 {
		return false
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range label {
			switch {
			case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			default:
				return false
			}
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}
