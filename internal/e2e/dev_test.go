package e2e_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// devWait bounds start and end of a development cluster, engines included.
const devWait = 2 * time.Minute

// TestDevelopmentClusterAgain interrupts a development cluster on the engines of production, and starts it again over the same
// folder: it takes other ports, and everything is there.
func TestDevelopmentClusterAgain(t *testing.T) {
	t.Parallel()
	network := fmt.Sprintf("127.%d.%d.", 1+os.Getpid()>>8&0x3f, os.Getpid()&0xff) // of this run alone
	c := &cluster{t: t, dir: t.TempDir()}
	c.broker = &process{t: t, name: "dev", log: c.path("dev.log"),
		args: []string{"dev", "--data", c.path("data"), "--mailstores", "2", "--engines", "production", "--address", network + "10"}}
	for i := 1; i <= 2; i++ {
		at := func(port string) string { return net.JoinHostPort(fmt.Sprintf("%s%d", network, 10+i), port) }
		name := fmt.Sprintf("mbox%d", i)
		c.stores = append(c.stores, &mailstore{fqdn: name + ".example.com", lmtp: at("7025"), imap: at("7143"), admin: at("7071"), peer: at("7072"),
			process: &process{t: t, name: name, log: c.path("data", "log", name+".log")}}) // dev starts and ends it
	}
	t.Cleanup(c.end)
	c.startDev(1)
	text, err := os.ReadFile(c.path("data", "etc", "carbonio.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c.write("carbonio.yaml", string(text))
	names := c.accounts("again", 2)
	c.deliver(1, tagged("first", plain("before")), names...)
	c.settled(1, 1, names)
	shown := c.pictures(1, names)
	c.interruptDev()
	c.nothingLeft()

	c.startDev(2)
	c.settled(1, 1, names)
	sameAll(t, c.pictures(1, names), shown)
	c.deliver(2, tagged("second", plain("after")), names...)
	c.promote(2, names)
	for _, name := range names {
		if rows := c.rows(2, name, "INBOX"); len(rows) != 2 || rows[0].id != "first" || rows[1].id != "second" {
			t.Errorf("%s holds %+v, want the mail of both runs", name, rows)
		}
	}
	c.broker.kill() // which takes everything with it
	eventually(t, devWait, func() error {
		if left := c.left(); len(left) > 0 {
			return fmt.Errorf("left running: %q", left)
		}
		return nil
	})
}

// startDev starts the cluster and returns when it has said so for the n-th time.
func (c *cluster) startDev(n int) {
	c.t.Helper()
	c.broker.begin()
	eventually(c.t, devWait, func() error {
		text, err := os.ReadFile(c.broker.log)
		if err != nil {
			return err
		}
		if c.broker.now().HasEnded() {
			c.t.Fatalf("the cluster ends: %s", text)
		}
		if bytes.Count(text, []byte("ready\n")) < n {
			return fmt.Errorf("the cluster says %s", text)
		}
		return nil
	})
}

// interruptDev ends the cluster as Ctrl-C does.
func (c *cluster) interruptDev() {
	c.t.Helper()
	c.broker.signal(syscall.SIGINT)
	select {
	case <-c.broker.now().Ended():
	case <-time.After(devWait):
		c.t.Fatalf("the cluster does not end on an interrupt within %s", devWait)
	}
}

func (c *cluster) nothingLeft() {
	c.t.Helper()
	if left := c.left(); len(left) > 0 {
		c.t.Errorf("left running: %q", left)
	}
}

// left are the command lines of processes of the development cluster that run.
func (c *cluster) left() (all []string) {
	c.t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		c.t.Fatal(err)
	}
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && bytes.Contains(text, []byte(c.path("data"))) {
			all = append(all, strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	return all
}
