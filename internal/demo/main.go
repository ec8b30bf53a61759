// Command demo shows the promise on real processes: mail is delivered and worked on, the mailstore that takes it is killed,
// its accounts are promoted, and then every acknowledged change is looked for over IMAP. It ends with status 1 if one
// is lost, there twice, or has another UID.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mailreplica/internal/pause"
)

const (
	accounts = 20
	senders  = 6
	readers  = 3
	password = "demonstration"
	before   = 8 * time.Second // of load before the kill
	after    = 5 * time.Second // of load after the promotion
)

func main() {
	bin := flag.String("bin", "bin", "folder of the programs")
	engines := flag.String("engines", "embedded", "what the mailstores stand on: `embedded`, or production (Kafka, MariaDB, S3)")
	more := flag.String("messages", "", "folder of further messages (.eml, .raw) to deliver")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d := &demo{bin: *bin, more: *more, engines: *engines}
	if err := d.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

type demo struct {
	bin, more, engines string

	cluster   *cluster
	ledgers   []*ledger
	samples   [][]byte
	count     atomic.Int64
	promotion time.Duration
	resync    resync
	total     verdict
}

func (d *demo) run(ctx context.Context) (err error) {
	if d.samples, err = samples(d.more); err != nil {
		return err
	}
	if d.production() {
		step("starting three Kafka brokers, MariaDB, an S3 server, and three mailstores")
	} else {
		step("starting three mailstores and a broker")
	}
	d.cluster, err = startCluster(ctx, d.bin, d.engines)
	if d.cluster != nil {
		defer func() { d.cluster.stop(err != nil) }()
	}
	if err != nil {
		return err
	}
	for _, phase := range []func(context.Context) error{d.prepare, d.disaster, d.verify, d.rejoin} {
		if err := phase(ctx); err != nil {
			return err
		}
	}
	return d.report()
}

func (d *demo) production() bool { return d.engines == "production" }

func step(format string, args ...any) {
	fmt.Printf("%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}

// prepare makes the accounts on mbox1, with replicas on mbox2 and mbox3.
func (d *demo) prepare(ctx context.Context) error {
	step("making %d accounts on mbox1, replicas on mbox2 (priority 10) and mbox3 (priority 20)", accounts)
	names := make([]string, accounts)
	for i := range names {
		names[i] = fmt.Sprintf("user%02d@example.com", i+1)
		if _, err := d.cluster.Carbonio(ctx, "prov", "createAccount", names[i], password, "mailHost", "mbox1.example.com"); err != nil {
			return err
		}
		d.ledgers = append(d.ledgers, newLedger(names[i]))
	}
	for _, r := range [][2]string{{"mbox2.example.com", "10"}, {"mbox3.example.com", "20"}} {
		_, err := d.cluster.Carbonio(ctx, "--sync", "MailReplica", "setAccountDestination", r[0], r[1], "accounts", strings.Join(names, ","))
		if err != nil {
			return err
		}
	}
	return nil
}

// load delivers to some mailstores and works on the accounts at another, until the context ends.
func (d *demo) load(ctx context.Context, name string, lmtp []string, imap string, work []*ledger) *sync.WaitGroup {
	var running sync.WaitGroup
	for i := range senders {
		s := &sender{name: fmt.Sprintf("%s%d", name, i), addrs: rotate(lmtp, i), samples: d.samples, ledgers: d.ledgers, count: &d.count}
		running.Go(func() { s.run(ctx) })
	}
	for i := range readers {
		r := &reader{addr: imap, password: password, ledgers: share(work, i, readers)}
		running.Go(func() { r.run(ctx) })
	}
	return &running
}

func rotate(all []string, by int) []string {
	by %= len(all)
	return append(append([]string(nil), all[by:]...), all[:by]...)
}

// share is the i-th of n parts; each account is worked on by one reader alone.
func share(all []*ledger, i, n int) (part []*ledger) {
	for j := i; j < len(all); j += n {
		part = append(part, all[j])
	}
	return part
}

const (
	imap1 = "127.0.0.11:7143"
	imap2 = "127.0.0.12:7143"
	lmtp1 = "127.0.0.11:7025"
	lmtp2 = "127.0.0.12:7025"
	lmtp3 = "127.0.0.13:7025"
)

// disaster kills mbox1 under load, promotes its accounts and goes on delivering. The first account is left alone by the
// readers: its client comes back and resynchronises.
func (d *demo) disaster(ctx context.Context) error {
	step("delivering to mbox1 and mbox3 on %d connections; flagging, moving and deleting over IMAP on %d", senders, readers)
	loading, end := context.WithCancel(ctx)
	defer end()
	senders := d.load(loading, "before", []string{lmtp1, lmtp3}, imap1, d.ledgers[1:])
	_ = pause.For(ctx, before/3)
	if d.production() {
		step("kill -9 kafka1, one of the three brokers, after %d messages", d.count.Load())
		if err := d.cluster.Kill("kafka1"); err != nil {
			return err
		}
	}
	_ = pause.For(ctx, before/3)
	if err := d.watch(imap1); err != nil {
		return err
	}
	_ = pause.For(ctx, before/3)
	step("kill -9 mbox1, after %d messages", d.count.Load())
	if err := d.cluster.Kill("mbox1"); err != nil {
		return err
	}
	step("carbonio MailReplica promoteAccounts source_mail_host mbox1.example.com")
	begun := time.Now()
	if _, err := d.cluster.Carbonio(ctx, "MailReplica", "promoteAccounts", "source_mail_host", "mbox1.example.com"); err != nil {
		return err
	}
	d.promotion = time.Since(begun)
	step("promoted in %d ms; what was not answered is sent again, and delivering goes on at mbox2 and mbox3", d.promotion.Milliseconds())
	going, stop := context.WithTimeout(ctx, after)
	defer stop()
	d.load(going, "after", []string{lmtp2, lmtp3}, imap2, d.ledgers[1:]).Wait()
	end()
	senders.Wait()
	return nil
}

// watch has a client look at every account, as clients do, and remember what it saw.
func (d *demo) watch(addr string) error {
	for i, l := range d.ledgers {
		seen, err := look(addr, password, l)
		if err != nil {
			return err
		}
		for name, f := range seen {
			l.saw(name, f)
		}
		if i == 0 {
			d.resync.before = seen["INBOX"]
		}
	}
	return nil
}

// verify holds what the promoted mailstore shows against the ledgers.
func (d *demo) verify(ctx context.Context) error {
	step("reading every account on mbox2 over IMAP")
	for _, l := range d.ledgers {
		now, err := look(imap2, password, l)
		if err != nil {
			return err
		}
		d.total.add(l.compare(now))
	}
	return d.resync.run(imap2, d.ledgers[0].name)
}

// rejoin starts mbox1 again and waits until it holds replicas with equal digests.
func (d *demo) rejoin(ctx context.Context) error {
	step("starting mbox1 again")
	if err := d.cluster.Restart("mbox1"); err != nil {
		return err
	}
	if err := d.cluster.settled(ctx, accounts, 2); err != nil {
		return err
	}
	step("mbox1 has rejoined: every copy on the three mailstores has the digest of its primary")
	return nil
}

func (d *demo) report() error {
	messages := 0
	for _, l := range d.ledgers {
		messages += l.messages()
	}
	fmt.Printf(`
  acknowledged changes     %7d
  messages to be found     %7d
  found as acknowledged    %7d
  lost                     %7d
  duplicated               %7d
  UIDs changed             %7d
  QRESYNC: messages        %7d
  QRESYNC: told of         %7d
  time to promote       %7d ms

`, d.total.acknowledged, messages, d.total.found, d.total.lost, d.total.duplicated, d.total.uidsChanged,
		d.resync.messages, d.resync.told, d.promotion.Milliseconds())
	for i, detail := range d.total.details {
		if i == 20 {
			fmt.Printf("… and %d more\n", len(d.total.details)-i)
			break
		}
		fmt.Println(detail)
	}
	if d.total.lost+d.total.duplicated+d.total.uidsChanged > 0 || messages != d.total.found {
		return fmt.Errorf("the promise was broken")
	}
	return nil
}
