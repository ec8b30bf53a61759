package broker_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailreplica/internal/eventlog"
	"mailreplica/internal/eventlog/broker"
	"mailreplica/internal/eventlog/broker/brokertest"
	"mailreplica/internal/fault"
)

// The test binary is the broker's process too: with these in its environment it runs a broker and nothing else.
const (
	envDataDir = "MAILREPLICA_TEST_BROKER_DIR"
	envListen  = "MAILREPLICA_TEST_BROKER_LISTEN"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(envDataDir); dir != "" {
		os.Exit(runBroker(dir, os.Getenv(envListen)))
	}
	os.Exit(m.Run())
}

func runBroker(dir, listen string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // ends with its parent, however that ends
		bufio.NewReader(os.Stdin).ReadByte()
		cancel()
	}()
	err := broker.Run(ctx, broker.Config{
		Listen: listen, DataDir: dir, SyncWrites: true,
		Ready: func(address string) error { _, err := fmt.Println(address); return err },
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process is a broker in a process of its own.
type process struct {
	address string
	command *exec.Cmd
	stdin   interface{ Close() error }
}

func startProcess(t testing.TB, dir, listen string) *process {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), envDataDir+"="+dir, envListen+"="+listen)
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{command: command, stdin: stdin}
	t.Cleanup(p.kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the broker's process did not start: %v", err)
	}
	p.address = strings.TrimSpace(line)
	return p
}

// kill ends the process as SIGKILL does, and may be called again.
func (p *process) kill() {
	p.command.Process.Signal(syscall.SIGKILL)
	p.command.Wait()
}

// freeze stops the process, as SIGSTOP does, and returns when every thread of it stands still.
func (p *process) freeze(t testing.TB) {
	t.Helper()
	p.command.Process.Signal(syscall.SIGSTOP)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(p.command.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("the broker's process does not stand still: %v, %#x", err, status)
	}
}

// stop ends the process cleanly.
func (p *process) stop(t testing.TB) {
	t.Helper()
	p.stdin.Close()
	if err := p.command.Wait(); err != nil {
		t.Errorf("clean stop: %v", err)
	}
}

func openLog(t testing.TB, address string) *eventlog.Log {
	t.Helper()
	l, err := eventlog.Open(t.Context(), eventlog.Config{
		Brokers: []string{address}, Topic: "mail", Streams: 4, AppendTimeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatalf("opening the log: %v", err)
	}
	t.Cleanup(l.Close)
	return l
}

func identity(t testing.TB, l *eventlog.Log) eventlog.Identity {
	t.Helper()
	found, err := l.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func appendAll(t testing.TB, l *eventlog.Log, stream int32, from, to int) {
	t.Helper()
	results := make(chan error, to-from)
	for i := from; i < to; i++ {
		l.Append(stream, nil, []byte(fmt.Sprint(i)), func(err error) { results <- err })
	}
	for range to - from {
		if err := <-results; err != nil {
			t.Fatalf("appending to stream %d: %v", stream, err)
		}
	}
}

// values is what a stream holds.
func values(t testing.TB, l *eventlog.Log, stream int32) []string {
	t.Helper()
	bounds, err := l.Bounds(t.Context(), []int32{stream})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	err = l.ReadRange(t.Context(), stream, bounds[stream].Start, bounds[stream].End, func(entries []eventlog.Entry) error {
		for _, e := range entries {
			found = append(found, string(e.Value))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func numbers(from, to int) []string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

func TestKilledBrokerKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	p := startProcess(t, dir, "127.0.0.1:0")
	l := openLog(t, p.address)
	before := identity(t, l)
	appendAll(t, l, 0, 0, 1000)
	appendAll(t, l, 3, 0, 10)
	p.kill()

	p = startProcess(t, dir, p.address)
	l = openLog(t, p.address)
	if after := identity(t, l); after != before {
		t.Errorf("identity: got %+v, want %+v", after, before)
	}
	if got := values(t, l, 0); fmt.Sprint(got) != fmt.Sprint(numbers(0, 1000)) {
		t.Errorf("stream 0 holds %d values, want 1000 in order", len(got))
	}
	appendAll(t, l, 0, 1000, 1010)
	p.stop(t)

	p = startProcess(t, dir, p.address)
	l = openLog(t, p.address)
	if after := identity(t, l); after != before {
		t.Errorf("identity after a clean stop: got %+v, want %+v", after, before)
	}
	if got := values(t, l, 0); fmt.Sprint(got) != fmt.Sprint(numbers(0, 1010)) {
		t.Errorf("stream 0 holds %d values after a clean stop, want 1010 in order", len(got))
	}
	if got := values(t, l, 3); fmt.Sprint(got) != fmt.Sprint(numbers(0, 10)) {
		t.Errorf("stream 3 holds %v", got)
	}
}

// A writer and a reader go on while the broker is killed and started again. What was confirmed is there, once and in
// order; what was in doubt is there at most once, where it belongs.
func TestKilledWhileWriting(t *testing.T) {
	dir := t.TempDir()
	p := startProcess(t, dir, "127.0.0.1:0")
	l := openLog(t, p.address)
	stop := make(chan struct{})
	ended := make(chan int)
	const window = 50
	go func() {
		slots := make(chan error, window)
		for range window {
			slots <- nil
		}
		next := 0
		for {
			select {
			case err := <-slots:
				if err != nil {
					t.Errorf("an append failed: %v", err)
				}
				l.Append(1, nil, []byte(fmt.Sprint(next)), func(err error) { slots <- err })
				next++
			case <-stop:
				for range window {
					if err := <-slots; err != nil {
						t.Errorf("an append failed: %v", err)
					}
				}
				ended <- next
				return
			}
		}
	}()
	seen := make(chan struct{}, 1)
	var read []string
	r := l.NewReader(func(_ context.Context, b eventlog.Batch) {
		if b.Err != nil {
			t.Errorf("reading: %v", b.Err)
		}
		for _, e := range b.Entries {
			read = append(read, string(e.Value))
		}
		select {
		case seen <- struct{}{}:
		default:
		}
	})
	r.Follow(1, 0, -1)
	for range 5 {
		<-seen
		<-seen
		p.kill()
		p = startProcess(t, dir, p.address)
	}
	<-seen
	close(stop)
	count := <-ended
	got := values(t, l, 1)
	r.Close()
	if fmt.Sprint(got) != fmt.Sprint(numbers(0, count)) {
		t.Errorf("got %d values, want %d, each once and in order: %s", len(got), count, firstDifference(got))
	}
	if len(read) > len(got) || fmt.Sprint(read) != fmt.Sprint(got[:len(read)]) {
		t.Errorf("the reader saw %d values that differ from the log's %d", len(read), len(got))
	}
}

func firstDifference(got []string) string {
	for i, value := range got {
		if value != fmt.Sprint(i) {
			return fmt.Sprintf("at %d: %v", i, got[max(0, i-3):min(len(got), i+5)])
		}
	}
	return "none"
}

func TestSecondBrokerIsRefused(t *testing.T) {
	dir := t.TempDir()
	first := startProcess(t, dir, "127.0.0.1:0")
	if _, err := broker.Start(broker.Config{Listen: "127.0.0.1:0", DataDir: dir}); !fault.Is(err, fault.Exists) {
		t.Errorf("same directory: got %v, want kind %v", err, fault.Exists)
	}
	if _, err := broker.Start(broker.Config{Listen: first.address, DataDir: t.TempDir()}); !fault.Is(err, fault.Invalid) {
		t.Errorf("same address: got %v, want kind %v", err, fault.Invalid)
	}
	first.kill()
	brokertest.StartBroker(t, broker.Config{DataDir: dir})
}

func TestListenRefusesWhatClientsCannotReach(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:9092", "[::]:9092", "localhost:9092", "127.0.0.1", ":9092"} {
		if _, err := broker.Start(broker.Config{Listen: listen}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v, want kind %v", listen, err, fault.Invalid)
		}
	}
}

// Retention never takes the last record: offsets must not begin anew after a crash.
func TestRetentionKeepsOffsets(t *testing.T) {
	dir := t.TempDir()
	b := brokertest.StartBroker(t, broker.Config{DataDir: dir})
	l, err := eventlog.Open(t.Context(), eventlog.Config{
		Brokers: []string{b.Address()}, Topic: "mail", Streams: 2, Retention: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	appendAll(t, l, 0, 0, 100)
	bounds := func() eventlog.Bounds {
		t.Helper()
		found, err := l.Bounds(t.Context(), []int32{0, 1})
		if err != nil {
			t.Fatal(err)
		}
		return found[0]
	}
	if err := b.ApplyRetention(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if got, want := bounds(), (eventlog.Bounds{Start: 0, End: 100}); got != want {
		t.Errorf("within the retention: got %v, want %v", got, want)
	}
	if err := b.ApplyRetention(t.Context(), time.Now().Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got, want := bounds(), (eventlog.Bounds{Start: 99, End: 100}); got != want {
		t.Errorf("beyond the retention: got %v, want %v", got, want)
	}
}

// A broker that cannot write ends instead of confirming what is not there.
func TestBrokerThatCannotWriteEnds(t *testing.T) {
	dir := t.TempDir()
	p := startProcess(t, dir, "127.0.0.1:0")
	l, err := eventlog.Open(t.Context(), eventlog.Config{
		Brokers: []string{p.address}, Topic: "mail", Streams: 4, AppendTimeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	appendAll(t, l, 0, 0, 10)
	if err := os.WriteFile(filepath.Join(dir, "partitions", "mail-2"), nil, 0o600); err != nil { // in the way of the directory
		t.Fatal(err)
	}
	result := make(chan error, 1)
	l.Append(2, nil, []byte("lost"), func(err error) { result <- err })
	if err := <-result; !fault.Is(err, fault.LogUnavailable) {
		t.Errorf("append: got %v, want kind %v", err, fault.LogUnavailable)
	}
	if err := p.command.Wait(); err == nil || p.command.ProcessState.ExitCode() != 1 {
		t.Errorf("the broker's process: got %v, want exit status 1", err)
	}
}

// A broker that is stopped and goes on (SIGSTOP, SIGCONT): appends meanwhile are in doubt within the bound, a follower
// that was begun meanwhile gets everything, and what was in doubt stands at most once and disturbs no order.
func TestStoppedBrokerGoesOn(t *testing.T) {
	p := startProcess(t, t.TempDir(), "127.0.0.1:0")
	l, err := eventlog.Open(t.Context(), eventlog.Config{
		Brokers: []string{p.address}, Topic: "mail", Streams: 4, AppendTimeout: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	appendAll(t, l, 1, 0, 100)
	p.freeze(t)
	result := make(chan error, 1)
	l.Append(1, nil, []byte("doubtful"), func(err error) { result <- err })
	entries := make(chan string, 1000)
	r := l.NewReader(func(_ context.Context, b eventlog.Batch) {
		if b.Err != nil {
			t.Errorf("reading: %v", b.Err)
		}
		for _, e := range b.Entries {
			entries <- string(e.Value)
		}
	})
	defer r.Close()
	r.Follow(1, 0, -1)
	if err := <-result; !fault.Is(err, fault.LogUnavailable) {
		t.Errorf("append to a stopped broker: got %v, want kind %v", err, fault.LogUnavailable)
	}
	if l.Reachable() {
		t.Error("a stopped broker is reachable")
	}
	p.command.Process.Signal(syscall.SIGCONT)
	appendAll(t, l, 1, 100, 200)
	doubtful := 0
	for next := 0; next < 200; {
		switch got := <-entries; got {
		case "doubtful":
			doubtful++
		case fmt.Sprint(next):
			next++
		default:
			t.Fatalf("got %s, want %d", got, next)
		}
	}
	if doubtful > 1 {
		t.Errorf("the doubtful record stands %d times", doubtful)
	}
	if !l.Reachable() {
		t.Error("not reachable after the broker went on")
	}
}
