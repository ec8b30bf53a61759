package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"mailreplica/internal/admin"
	"mailreplica/internal/fault"
)

// session is one command under way.
type session struct {
	environment
	*invocation
	config configuration
	client *admin.Client
}

// connect finds the mailstore to talk to.
func (s *session) connect(ctx context.Context) (err error) {
	if s.config, err = readConfig(s.configPath); err != nil {
		return err
	}
	s.client, err = s.config.reach(ctx, s.host)
	return err
}

// notes tells what is worth knowing beside the answer.
func (s *session) notes(notes []string) {
	for _, note := range notes {
		fmt.Fprintf(s.stderr, "note: %s\n", printable(note))
	}
}

// list reads a comma separated list; nil: it is not given.
func (s *session) list(name string) ([]string, error) {
	text, given := s.values[name]
	if !given {
		return nil, nil
	}
	var values []string
	for v := range strings.SplitSeq(text, ",") {
		if v = strings.TrimSpace(v); v == "" {
			return nil, fault.New(fault.Invalid, "the list %s has an empty entry: %q", name, text).
				WithHint("separate the entries with one comma each")
		}
		values = append(values, v)
	}
	return values, nil
}

// lists reads the comma separated lists of filters.
func (s *session) lists(filters ...filter) (err error) {
	for _, f := range filters {
		if *f.to, err = s.list(f.name); err != nil {
			return err
		}
	}
	return nil
}

type filter struct {
	name string
	to   *[]string
}

// number reads a whole number from low to high; one that is not given is 0.
func (s *session) number(name string, low, high int) (int, error) {
	text, given := s.values[name]
	if !given {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && (n < low || n > high):
		return 0, fault.New(fault.Invalid, "%s is %s; want %d to %d", name, text, low, high).WithHint("give a number, for instance 10")
	case err != nil:
		return 0, fault.New(fault.Invalid, "%s is %q, which is no whole number", name, text).WithHint("give a number, for instance 10")
	}
	return n, nil
}

// truth reads true or false; nil: it is not given.
func (s *session) truth(name string) (*bool, error) {
	text, given := s.values[name]
	if !given {
		return nil, nil
	}
	value := strings.EqualFold(text, "true")
	if !value && !strings.EqualFold(text, "false") {
		return nil, fault.New(fault.Invalid, "%s is %q; want true or false", name, text)
	}
	return &value, nil
}

// secretLineBytesMax bounds a secret that is read from a file or from standard input, with its line end.
const secretLineBytesMax = 4096

// password gives a password as it stands, or for - the first line of standard input, so that it is in no list of processes.
func (s *session) password(text string) (string, error) {
	if text != "-" {
		return text, nil
	}
	line, err := firstLine(s.stdin)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "standard input has no password: %s", err).WithHint("write it there, on one line")
	}
	return line, nil
}

// firstLine reads a secret. One that is longer than any is not cut: it would be another secret.
func firstLine(r io.Reader) (string, error) {
	text, err := bufio.NewReader(io.LimitReader(r, secretLineBytesMax+1)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	line := strings.TrimRight(text, "\r\n")
	switch {
	case len(text) > secretLineBytesMax:
		return "", fmt.Errorf("its first line has more than %d bytes", secretLineBytesMax)
	case line == "":
		return "", errors.New("its first line is empty")
	}
	return line, nil
}
