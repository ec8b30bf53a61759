package main

import (
	"fmt"
	"time"
)

// settle is how long a server is given to give back what logging in took.
const settle = 10 * time.Second

// idle opens sessions that wait, and reports what each of them costs the server in memory: logged in, and in IDLE with a folder
// selected. Sessions are spread over as many users as there are; a user's name has its number for %d.
func idle(addr, user, password, folder string, of processes, sessions, users int, how string) error {
	first, err := login(addr, nameOf(user, 0, users), password) // what a server holds once it has served anybody is not counted
	if err != nil {
		return err
	}
	defer first.close()
	if _, err := first.do("SELECT " + folder); err != nil {
		return err
	}
	before, err := of.usage()
	if err != nil {
		return err
	}
	begun := time.Now()
	all := make([]*session, sessions)
	for i := range all {
		if all[i], err = login(addr, nameOf(user, i%users, users), password); err != nil {
			return fmt.Errorf("session %d: %w", i, err)
		}
		defer all[i].close()
		all[i].buf = nil
		if how == "login" {
			continue
		}
		all[i].buf = make([]byte, 64<<10)
		if _, err := all[i].do("SELECT " + folder); err != nil {
			return err
		}
		if how == "idle" {
			if err := all[i].write(all[i].tag() + " IDLE\r\n"); err != nil {
				return err
			}
			if _, err := all[i].read(func(tail []byte) bool { return tail[len(tail)-1] == '\n' }); err != nil {
				return err
			}
		}
		all[i].buf = nil
	}
	opened := time.Since(begun)
	time.Sleep(settle)
	after, err := of.usage()
	if err != nil {
		return err
	}
	time.Sleep(settle)
	later, err := of.usage()
	if err != nil {
		return err
	}
	n := int64(sessions)
	fmt.Printf("%d sessions (%s): %d bytes each (RSS), %d bytes each (of the process's own); %d processes; opened in %s; "+
		"%s of CPU to open one; %s of CPU a second while they wait\n", sessions, how, (after.rss-before.rss)/n,
		(after.ownBytes-before.ownBytes)/n, after.count-before.count, opened.Round(time.Millisecond),
		(after.cpu-before.cpu)/time.Duration(n), (later.cpu-after.cpu)/time.Duration(settle/time.Second))
	return nil
}

func nameOf(pattern string, i, users int) string {
	if users > 1 {
		return fmt.Sprintf(pattern, i)
	}
	return pattern
}
