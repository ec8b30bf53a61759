package main

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"mailreplica/internal/bench/load"
)

// appendAtOnce is how many messages one APPEND takes (RFC 3502).
const appendAtOnce = 500

// copiedAtOnce bounds a COPY, for a folder is locked meanwhile.
const copiedAtOnce = 100_000

// fill appends messages to a folder until it has n. Beyond the first distinct ones they are copies of those before them.
func fill(s *session, folder string, n, distinct, size int) error {
	_, _ = s.do("CREATE " + folder) // it may be there
	answer, err := s.ask("STATUS " + folder + " (MESSAGES)")
	if err != nil {
		return err
	}
	have, begun := 0, time.Now()
	if at := bytes.LastIndex([]byte(answer), []byte("(MESSAGES ")); at >= 0 {
		_, _ = fmt.Sscanf(answer[at:], "(MESSAGES %d)", &have)
	}
	messages := load.NewMessages(size)
	for distinct = min(distinct, n); have < distinct; {
		count := min(appendAtOnce, distinct-have)
		if err := appendMessages(s, folder, messages, have, count); err != nil {
			return err
		}
		have += count
	}
	if have < n {
		if _, err := s.do("SELECT " + folder); err != nil {
			return err
		}
	}
	for have < n {
		count := min(copiedAtOnce, have, n-have)
		if _, err := s.do(fmt.Sprintf("COPY 1:%d %s", count, folder)); err != nil {
			return err
		}
		have += count
	}
	fmt.Fprintf(os.Stderr, "%s has %d messages after %s\n", folder, have, time.Since(begun).Round(time.Second))
	return nil
}

// appendMessages appends some messages, of which the first is the folder's first-th, with one command.
func appendMessages(s *session, folder string, messages *load.Messages, first, count int) error {
	tag := s.tag()
	text := fmt.Appendf(nil, "%s APPEND %s", tag, folder)
	var message []byte
	for i := range count {
		message = messages.Append(message[:0])
		text = fmt.Appendf(text, " (%s) \"%s\" {%d+}\r\n", flagsOf(first+i), dateOf(first+i), len(message))
		text = append(text, message...)
	}
	text = append(text, "\r\n"...)
	if err := s.write(string(text)); err != nil {
		return err
	}
	_, err := s.answer(tag, "APPEND")
	return err
}

// flagsOf are the flags of the i-th message: most are seen, some are answered, flagged or have a keyword.
func flagsOf(i int) string {
	flags := ""
	add := func(flag string, wanted bool) {
		if wanted && flags != "" {
			flags += " "
		}
		if wanted {
			flags += flag
		}
	}
	add(`\Seen`, i%5 != 0)
	add(`\Answered`, i%7 == 0)
	add(`\Flagged`, i%31 == 0)
	add("$Work", i%13 == 0)
	return flags
}

// dateOf, and receivedAt, is when the i-th message came: one every ten minutes.
func dateOf(i int) string { return receivedAt(i).Format("_2-Jan-2006 15:04:05 -0700") }

func receivedAt(i int) time.Time {
	begin := time.Date(2025, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600))
	return begin.Add(time.Duration(i%1_000_000) * 10 * time.Minute)
}
