package main

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"mailreplica/internal/pause"
)

//go:embed messages
var embedded embed.FS

// samples are the messages that are delivered: those of this folder, and any others that a folder on the command line has.
func samples(more string) ([][]byte, error) {
	var all [][]byte
	add := func(source fs.FS) error {
		return fs.WalkDir(source, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !isMessage(path) {
				return err
			}
			data, err := fs.ReadFile(source, path)
			all = append(all, data)
			return err
		})
	}
	if err := add(embedded); err != nil {
		return nil, err
	}
	if more == "" {
		return all, nil
	}
	return all, add(os.DirFS(more))
}

func isMessage(path string) bool {
	extension := filepath.Ext(path)
	return extension == ".eml" || extension == ".raw"
}

// sender delivers messages over one LMTP connection after another until told to stop.
type sender struct {
	name    string
	addrs   []string // the LMTP addresses to use in turn: any mailstore takes mail for any account
	samples [][]byte
	ledgers []*ledger
	count   *atomic.Int64
}

// run delivers until the context ends. What was not answered is sent again, byte for byte, over another connection, as an
// MTA does.
func (s *sender) run(ctx context.Context) {
	var c *smtp.Client
	defer func() {
		if c != nil {
			_ = c.Quit() // the messages are answered
		}
	}()
	dials := 0
	for ctx.Err() == nil {
		l := s.ledgers[rand.IntN(len(s.ledgers))]
		n := s.count.Add(1)
		id := fmt.Sprintf("%s-%d", s.name, n)
		body := append([]byte("X-Demo-Id: "+id+"\r\n"), s.samples[int(n)%len(s.samples)]...)
		l.sending(id)
		for {
			err := error(nil)
			if c == nil {
				c, err = dialLMTP(s.addrs[dials%len(s.addrs)])
				dials++
			}
			if err == nil {
				err = deliver(c, l.name, body)
			}
			if err == nil {
				l.acknowledged(id, func(e *entry) { e.delivered = true })
				break
			}
			if c != nil {
				c.Close()
				c = nil
			}
			if ctx.Err() != nil {
				return
			}
			_ = pause.For(ctx, 50*time.Millisecond)
		}
	}
}

func dialLMTP(addr string) (*smtp.Client, error) {
	conn, err := net.DialTimeout("tcp", addr, 2*time.Second)
	if err != nil {
		return nil, err
	}
	c := smtp.NewClientLMTP(conn)
	c.CommandTimeout, c.SubmissionTimeout = 15*time.Second, 30*time.Second
	return c, c.Hello("demo.example.net")
}

func deliver(c *smtp.Client, to string, body []byte) error {
	if err := c.Mail("demo@example.net", nil); err != nil {
		return err
	}
	if err := c.Rcpt(to, nil); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(body); err != nil {
		return err
	}
	return w.Close() // the server's answer for the one recipient
}

// reader works on some accounts over IMAP: it flags, moves and deletes.
type reader struct {
	addr     string
	password string
	ledgers  []*ledger
}

func (r *reader) run(ctx context.Context) {
	for at := 0; ctx.Err() == nil; at++ {
		l := r.ledgers[at%len(r.ledgers)]
		c, err := dialIMAP(r.addr, l.name, r.password)
		if err != nil {
			_ = pause.For(ctx, 50*time.Millisecond)
			continue
		}
		stop := context.AfterFunc(ctx, func() { pause.For(context.Background(), 100*time.Millisecond); c.close() })
		r.work(ctx, c, l)
		stop()
		c.close()
	}
}

// work changes some messages of one account. An error ends it; the change under way is then in doubt.
func (r *reader) work(ctx context.Context, c *client, l *ledger) {
	_, _, _ = c.do("CREATE Archive") // it exists from the second time on
	inbox, err := c.read("INBOX")
	if err != nil {
		return
	}
	done := 0
	for uid, m := range inbox.messages {
		if m.id == "" || done > 12 || ctx.Err() != nil {
			continue
		}
		done++
		if err := r.change(c, l, uid, m.id); err != nil {
			l.doubtful(m.id)
			return
		}
	}
}

func (r *reader) change(c *client, l *ledger, uid uint64, id string) error {
	switch rand.IntN(4) {
	case 0:
		_, _, err := c.do("UID STORE %d +FLAGS (\\Seen $Demo)", uid)
		if err == nil {
			l.acknowledged(id, func(e *entry) { e.flags["\\Seen"], e.flags["$Demo"] = true, true })
		}
		return err
	case 1:
		_, _, err := c.do("UID STORE %d +FLAGS.SILENT (\\Flagged)", uid)
		if err == nil {
			l.acknowledged(id, func(e *entry) { e.flags["\\Flagged"] = true })
		}
		return err
	case 2:
		_, _, err := c.do("UID MOVE %d Archive", uid)
		if err == nil {
			l.acknowledged(id, func(e *entry) { e.folder = "Archive" })
		}
		return err
	}
	if _, _, err := c.do("UID STORE %d +FLAGS.SILENT (\\Deleted)", uid); err != nil {
		return err
	}
	_, _, err := c.do("UID EXPUNGE %d", uid)
	if err == nil {
		l.acknowledged(id, func(e *entry) { e.gone = true })
	}
	return err
}

// look reads both folders of an account as a client does.
func look(addr, password string, l *ledger) (map[string]folder, error) {
	c, err := dialIMAP(addr, l.name, password)
	if err != nil {
		return nil, err
	}
	defer c.close()
	found := map[string]folder{}
	for _, name := range []string{"INBOX", "Archive"} {
		f, err := c.read(name)
		if err != nil && !strings.Contains(err.Error(), "NONEXISTENT") {
			return nil, fmt.Errorf("%s: %s: %w", l.name, name, err)
		}
		if err == nil {
			found[name] = f
		}
	}
	return found, nil
}
