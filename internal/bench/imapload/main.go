// Command imapload measures an IMAP server on a large folder, command by command, and with many sessions that wait. It speaks to
// whatever listens, so that two servers can be given the same messages and the same commands, and takes the server's processor
// time and memory from /proc.
//
//	imapload -addr HOST:PORT -user U -password P fill N             appends messages, and then copies of them, until the folder has N
//	imapload -config FILE -user ID bulk N                           the same, quickly, for a mailstore that does not run
//	imapload -addr … -pids P,P rows N                               measures each kind of work on a folder of N messages
//	imapload -addr … -pids P,P -users 50 -user user%d@… idle N      opens N sessions and says what one costs
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "imapload:", err)
		os.Exit(1)
	}
}

func run() error {
	addr := flag.String("addr", "127.0.0.1:143", "the server's `ADDRESS`")
	user := flag.String("user", "", "the `NAME` to log in with; with -users, %d in it is the user's number")
	password := flag.String("password", "", "the `PASSWORD`")
	folder := flag.String("folder", "INBOX", "the `FOLDER` to work on")
	pids := flag.String("pids", "", "the server's `PROCESSES`, comma separated; those that they started count too")
	size := flag.Int("size", 8<<10, "`BYTES` of a message that fill appends")
	distinct := flag.Int("distinct", 20_000, "how many messages fill appends before it goes on with copies of them")
	turns := flag.Int("turns", 5, "how often each row is measured")
	only := flag.String("only", ".", "`PATTERN` of the rows to measure")
	bodies := flag.Int("bodies", 5000, "how many messages' bodies are read")
	part := flag.Int("part", 1000, "how many messages a range has")
	users := flag.Int("users", 1, "how many users the sessions of idle are spread over")
	path := flag.String("config", "", "the configuration `FILE` of the mailstore that bulk fills; -user is an account's id then")
	how := flag.String("how", "idle", "what sessions of idle do: login, select or idle")
	flag.Parse()
	if flag.NArg() != 2 {
		return errors.New("give one of fill, bulk, rows, idle, and a number")
	}
	n, err := strconv.Atoi(flag.Arg(1))
	if err != nil || n < 1 {
		return fmt.Errorf("%q is no number of messages or sessions", flag.Arg(1))
	}
	of, err := parsePIDs(*pids)
	if err != nil {
		return err
	}
	if flag.Arg(0) == "idle" {
		return idle(*addr, *user, *password, *folder, of, n, *users, *how)
	}
	if flag.Arg(0) == "bulk" {
		return bulk(context.Background(), *path, *user, n, *size, *bodies)
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	s, err := login(*addr, *user, *password)
	if err != nil {
		return err
	}
	defer s.close()
	switch flag.Arg(0) {
	case "fill":
		return fill(s, *folder, n, *distinct, *size)
	case "rows":
		if _, err := s.do("SELECT " + *folder); err != nil {
			return err
		}
		return measure(s, of, rowsOf(*folder, n, min(*bodies, n), min(*part, n/4)), pattern, *turns)
	}
	return fmt.Errorf("%q is none of fill, rows, idle", flag.Arg(0))
}

func parsePIDs(text string) (processes, error) {
	var p processes
	for _, field := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("%q is no process's id", field)
		}
		p = append(p, pid)
	}
	return p, nil
}
