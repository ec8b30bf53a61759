package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"mailreplica/internal/account"
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

// selection reads the accounts that the command line, or the file that it names, selects.
func (s *session) selection() (admin.Selection, error) {
	selected := admin.Selection{All: s.all}
	if list, given := s.values["accounts"]; given {
		names, err := account.ParseList(list)
		if err != nil {
			return selected, err
		}
		selected.Accounts = names
	}
	if path, given := s.values["input_file"]; given {
		names, err := account.ReadListFile(path)
		if err != nil {
			return selected, err
		}
		selected.Accounts = append(selected.Accounts, names...)
	}
	return selected, nil
}

// list reads a comma separated list.
func (s *session) list(name string) []string {
	var values []string
	for v := range strings.SplitSeq(s.values[name], ",") {
		if v = strings.TrimSpace(v); v != "" {
			values = append(values, v)
		}
	}
	return values
}

// number reads a whole number; instead is the value of one that is not given.
func (s *session) number(name string, instead int) (int, error) {
	text, given := s.values[name]
	if !given {
		return instead, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, fault.New(fault.Invalid, "%s is %q, which is no whole number", name, text).WithHint("give a number, for instance 10")
	}
	return int(n), nil
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

// passwordLineMax bounds a password that is read from standard input.
const passwordLineMax = 4096

// password gives a password as it stands, or for - the first line of standard input, so that it is in no list of processes.
func (s *session) password(text string) (string, error) {
	if text != "-" {
		return text, nil
	}
	line, err := bufio.NewReader(io.LimitReader(s.stdin, passwordLineMax)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) || line == "" {
		return "", fault.Wrap(fault.Invalid, err, "standard input has no password").WithHint("write it there, on one line")
	}
	return strings.TrimRight(line, "\r\n"), nil
}
