package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestProduction loses each engine of production under load, and has it back, in docs/engines.md's words. Nothing that was
// acknowledged is lost in any of it, and no copy differs from another.
func TestProduction(t *testing.T) {
	t.Parallel()
	p := newProduction(t)
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"mail goes in and out", p.mailInAndOut},
		{"a broker is killed", p.brokerKilled},
		{"all brokers are killed", p.brokersKilled},
		{"a broker is frozen", p.brokersFrozen},
		{"S3 is killed", p.s3Killed},
		{"S3 is frozen", p.s3Frozen},
		{"the directory is killed", p.directoryKilled},
		{"the directory is frozen", p.directoryFrozen},
		{"the metadata's server is killed", p.metadataKilled},
		{"the metadata's server is frozen", p.metadataFrozen},
		{"the metadata's server is away at a start", p.metadataAwayAtStart},
		{"the home is killed", p.homeKilled},
		{"everything is killed", p.everythingKilled},
		{"every copy is promoted", p.everyCopy},
	} {
		p.step(t, step.name, step.do)
	}
}

func (p *production) mailInAndOut(t *testing.T) {
	p.answer(1, "")
	p.answer(2, "")
	p.deliver(3, tagged("alone", plain("of an account without a copy")), p.alone)
	p.under(func(work *load) {}, 1, 2)
	p.verify(3, []*ledger{p.probe}) // by way of another mailstore
}

// brokerKilled loses one broker of three: nobody notices.
func (p *production) brokerKilled(t *testing.T) {
	p.under(func(work *load) {
		p.ok(p.kafka.Kill(0))
		work.more(20)
		p.answer(1, "")
		p.ok(p.kafka.Restart(t.Context(), 0))
	}, 1, 2)
}

// brokersKilled loses two brokers of three: no writes, but for accounts without a copy; reads go on. Then it loses the last, and
// the mailstore restarts: it serves replicated accounts when it has read to the end.
func (p *production) brokersKilled(t *testing.T) {
	id := fmt.Sprintf("p-%d", p.count.Add(1))
	message := tagged(id, plain("to be read"))
	at := p.probe.sending(id, message, place{folder: "INBOX"})
	p.deliver(1, message, p.probe.name)
	p.probe.settle(at, nil, place{folder: "INBOX"})
	session := p.login(1, p.probe.name)
	exists := number(existsLine, must(t, session, "SELECT INBOX"))
	p.under(func(work *load) {
		p.ok(p.kafka.Kill(0))
		p.ok(p.kafka.Kill(1))
		p.probe.settle(at, refusal{"in doubt"}, place{folder: "INBOX", flags: `\Flagged`}, place{folder: "INBOX", flags: `\Seen`},
			place{folder: "INBOX", flags: `\Flagged \Seen`})
		must(t, session, "NOOP")
		begun := time.Now()
		must(t, session, "FETCH %d BODY[]", exists)
		if took := time.Since(begun); took > 8*time.Second {
			t.Errorf("FETCH BODY[] takes %s without the log", took)
		}
		delivered := make(chan struct{})
		go func() {
			defer close(delivered)
			p.answer(1, "451 4.3.0")
		}()
		unavailable(t, session, `STORE %d +FLAGS.SILENT (\Flagged)`, exists)
		<-delivered
		p.deliver(1, plain("written without the log"), p.alone)
		p.ok(p.kafka.Kill(2))
		p.store(1).restart()
		p.deliver(1, plain("after a start without the log"), p.alone)
		p.answer(1, "451 4.3.0")
		if _, err := login(p.store(1).imap, p.probe.name); err == nil || !strings.HasPrefix(err.Error(), "NO [UNAVAILABLE]") {
			t.Errorf("LOGIN after a start without the log: %v, want NO [UNAVAILABLE]", err)
		}
		p.startBrokers()
	}, 1, 2)
}

// startBrokers starts all brokers, which serve nobody before they are a majority.
func (p *production) startBrokers() {
	p.t.Helper()
	var failed [3]error
	var starting sync.WaitGroup
	for i := range failed {
		starting.Go(func() { failed[i] = p.kafka.Restart(p.t.Context(), i) })
	}
	starting.Wait()
	p.ok(errors.Join(failed[:]...))
}

// brokersFrozen freezes one broker, which is left out after a while.
func (p *production) brokersFrozen(t *testing.T) {
	p.under(func(work *load) {
		p.ok(p.kafka.Pause(2))
		work.more(20)
		p.ok(p.kafka.Continue(2))
	}, 1, 2)
}

// s3Killed loses the volume: no new bodies; everything else goes on, on a mailstore that starts meanwhile, too.
func (p *production) s3Killed(t *testing.T) {
	session := p.login(1, p.probe.name)
	exists := number(existsLine, must(t, session, "SELECT INBOX"))
	p.under(func(work *load) {
		p.ok(p.s3.Kill())
		p.answer(1, "452 4.3.1")
		p.store(1).restart()
		session = p.loginSoon(1, p.probe.name)
		must(t, session, "SELECT INBOX")
		p.withoutS3(session, exists)
		p.promote(2, []string{p.probe.name}) // which keeps none of the bodies near
		other := p.login(2, p.probe.name)
		must(t, other, "SELECT INBOX")
		must(t, other, "FETCH %d (ENVELOPE BODYSTRUCTURE RFC822.SIZE)", exists)
		unavailable(t, other, "FETCH %d BODY.PEEK[]", exists)
		p.ok(p.s3.Restart(t.Context()))
		must(t, other, "FETCH %d BODY.PEEK[]", exists)
		p.promote(1, []string{p.probe.name})
	}, 1, 2)
}

// withoutS3 is what the first mailstore answers while the volume is away.
func (p *production) withoutS3(session *client, exists uint64) {
	p.t.Helper()
	delivered := make(chan struct{})
	go func() {
		defer close(delivered)
		p.answer(1, "452 4.3.1")
	}()
	p.appendRefused(session)
	<-delivered
	must(p.t, session, `STORE %d +FLAGS.SILENT (\Answered)`, exists)
	must(p.t, session, `STORE %d -FLAGS.SILENT (\Answered)`, exists)
	must(p.t, session, "FETCH %d (ENVELOPE BODYSTRUCTURE RFC822.SIZE BODY.PEEK[])", exists) // read lately
}

// s3Frozen freezes the volume's server: answers come in time, and are temporary.
func (p *production) s3Frozen(t *testing.T) {
	p.under(func(work *load) {
		p.ok(p.s3.Pause())
		p.answer(1, "452 4.3.1")
		p.ok(p.s3.Continue())
	}, 1, 2)
}

// directoryKilled loses the directory's server: known accounts go on, on a mailstore that starts meanwhile, too.
func (p *production) directoryKilled(t *testing.T) {
	p.under(func(work *load) {
		p.ok(p.directory.Kill())
		work.more(20) // new logins included
		p.withoutDirectory()
		p.store(1).restart()
		work.more(20)
		p.ok(p.directory.Restart(t.Context()))
		p.withDirectory()
	}, 1, 2)
}

// directoryFrozen has the directory's server say nothing instead, as when its host is gone.
func (p *production) directoryFrozen(t *testing.T) {
	p.under(func(work *load) {
		p.ok(p.directory.Pause())
		work.more(20)
		p.statusWithoutDirectory()
		p.store(1).restart()
		work.more(20)
		p.ok(p.directory.Continue())
		p.withDirectory()
	}, 1, 2)
}

// withoutDirectory is what is refused without it.
func (p *production) withoutDirectory() {
	p.t.Helper()
	for _, command := range [][]string{
		{"prov", "createAccount", "late@example.com", password}, {"MailReplica", "promoteAccounts", "accounts", p.names[0]},
		{"core", "doCreateBucket", "S3", "b", "k", "s", "l", "r"},
	} {
		p.refused([]string{"directory"}, command...)
	}
	if err := deliver(p.store(1).lmtp, plain("x"), "unheard@example.com"); !strings.HasPrefix(replyOf(err), "451") {
		p.t.Errorf("LMTP to an account that nobody can look up: %v, want 451", err)
	}
	p.statusWithoutDirectory()
}

// statusWithoutDirectory is answered from a mailstore's copy, which says so, and soon.
func (p *production) statusWithoutDirectory() {
	p.t.Helper()
	begun := time.Now()
	r := p.carbonio("MailReplica", "getAccountStatus", "accounts", p.names[0])
	if r.code != 0 || !strings.Contains(r.out, p.names[0]) || !strings.Contains(r.err+r.out, "directory") {
		p.t.Errorf("getAccountStatus without the directory: %s, want an answer from the copy that says so", r)
	}
	if took := time.Since(begun); took > 10*time.Second {
		p.t.Errorf("getAccountStatus without the directory takes %s", took)
	}
}

// withDirectory waits until what was refused goes again.
func (p *production) withDirectory() {
	p.t.Helper()
	name := fmt.Sprintf("late%d@example.com", p.count.Add(1))
	eventually(p.t, availableWait, func() error {
		if r := p.carbonio("prov", "createAccount", name, password, "mailHost", p.store(1).fqdn); r.code != 0 {
			return refusal{r.String()}
		}
		return nil
	})
	eventually(p.t, availableWait, func() error {
		if err := deliver(p.store(2).lmtp, plain("x"), "unheard@example.com"); !strings.HasPrefix(replyOf(err), "550") {
			return fmt.Errorf("LMTP to an unknown account: %w, want 550", err)
		}
		return nil
	})
}

// metadataKilled loses the database server of one mailstore: temporary failures there, its accounts can be promoted, and it goes
// on by itself.
func (p *production) metadataKilled(t *testing.T) {
	p.under(func(work *load) {
		p.ok(p.metadata.Kill())
		p.answer(1, "452 4.3.1")
		if _, err := login(p.store(1).imap, p.probe.name); err != nil && !strings.HasPrefix(err.Error(), "NO [UNAVAILABLE]") {
			t.Errorf("LOGIN without the metadata: %v, want NO [UNAVAILABLE] if anything", err)
		}
		p.ok(p.metadata.Restart(t.Context()))
		work.more(30)
		p.ok(p.metadata.Kill())
		p.promote(2, append([]string{p.probe.name}, p.names...))
		work.via(2, 3)
		work.more(30)
		p.answer(1, "") // by way of the new home
		p.ok(p.metadata.Restart(t.Context()))
		p.available(2)
		p.promote(1, append([]string{p.probe.name}, p.names...))
	}, 1, 2)
}

// available waits until all copies are available, under load.
func (p *production) available(home int) {
	p.t.Helper()
	eventually(p.t, availableWait, func() error {
		all, err := p.status()
		if err != nil {
			return err
		}
		for _, a := range all {
			if a.AccountMailHost != p.store(home).fqdn {
				return fmt.Errorf("%s is on %s", a.AccountName, a.AccountMailHost)
			}
			for _, r := range a.Replicas {
				if !r.Available {
					return fmt.Errorf("the copy of %s on %s is %s", a.AccountName, r.Destination, r.State)
				}
			}
		}
		return nil
	})
}

// metadataFrozen has that server say nothing for a while.
func (p *production) metadataFrozen(t *testing.T) {
	p.under(func(work *load) {
		p.ok(p.metadata.Pause())
		work.run(loadTime())
		p.ok(p.metadata.Continue())
	}, 1, 2)
}

// metadataAwayAtStart starts a mailstore before the server of its metadata, as after a power cut: it waits, and says for what. What
// waiting does not mend ends it at once.
func (p *production) metadataAwayAtStart(t *testing.T) {
	p.under(func(work *load) {
		work.via(2)
		p.store(1).kill()
		secret := p.write("mailreplica_mbox1.password", "not the password")
		out, err := exec.Command(filepath.Join(bin, "mailstored"), p.store(1).args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "check user and password") {
			t.Errorf("a mailstore with a wrong password ends with %v: %s", err, out)
		}
		p.ok(os.WriteFile(secret, []byte(p.metadata.Password()), 0o600))
		p.ok(p.metadata.Kill())
		p.store(1).begin()
		eventually(t, readyWait, func() error {
			if text := tail(p.store(1).log, 3); !strings.Contains(text, "waiting for") {
				return fmt.Errorf("it says %s", text)
			}
			return nil
		})
		p.ok(p.metadata.Restart(t.Context()))
		p.store(1).ready()
	}, 1, 2)
}

// homeKilled loses the home of the accounts, and then freezes the next one.
func (p *production) homeKilled(t *testing.T) {
	p.under(func(work *load) {
		work.run(loadTime())
		p.store(1).kill()
		work.via(2, 3)
		p.promote(2, append([]string{p.probe.name}, p.names...))
		work.more(20)
		p.store(1).start()
		p.available(2)
		p.store(2).stop()
		p.promote(1, append([]string{p.probe.name}, p.names...))
		p.answer(1, "")
		p.answer(3, "")
		p.store(2).cont()
		work.via(1, 3)
	}, 1, 2)
}

// everythingKilled ends all engines and mailstores at once, and starts them in the wrong order.
func (p *production) everythingKilled(t *testing.T) {
	p.under(func(work *load) {
		work.run(loadTime() / 2)
		var killing sync.WaitGroup
		for _, m := range p.stores {
			killing.Go(m.kill)
		}
		killing.Go(p.endEngines)
		killing.Wait()
		for _, m := range p.stores {
			m.begin()
		}
		p.startBrokers()
		p.ok(p.s3.Restart(t.Context()))
		p.ok(p.metadata.Restart(t.Context()))
		p.ok(p.others.Restart(t.Context()))
		for _, m := range p.stores {
			m.ready()
		}
		p.ok(p.directory.Restart(t.Context()))
	}, 1, 2)
}

// everyCopy shows what each copy holds.
func (p *production) everyCopy(t *testing.T) {
	names := append([]string{p.probe.name}, p.names...)
	shown := p.pictures(1, names)
	for _, home := range []int{2, 3} {
		p.promote(home, names)
		sameAll(t, p.pictures(home, names), shown)
		p.verify(home, append([]*ledger{p.probe}, p.ledgers...))
		p.whole(home)
	}
}
