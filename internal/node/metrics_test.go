package node_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"mailreplica/internal/account"
	"mailreplica/internal/config"
	"mailreplica/internal/node"
	"mailreplica/internal/node/nodetest"
	"mailreplica/internal/protocol"
)

const metricsToken = "0123456789abcdef-metrics"

// startMeasured starts mailstores that Prometheus has a token for.
func startMeasured(t *testing.T, n int) *nodetest.Cluster {
	t.Helper()
	file := filepath.Join(t.TempDir(), "metrics.token")
	if err := os.WriteFile(file, []byte(metricsToken), 0o600); err != nil {
		t.Fatal(err)
	}
	return nodetest.StartWith(t, n, func(_ int, cfg *config.Config) { cfg.Tokens.Metrics = file })
}

// get asks the admin address of a mailstore.
func get(t *testing.T, c *nodetest.Cluster, i int, method, path, token string) (status int, body []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+c.Config(i).Listen.Admin+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body
}

// scraped is what a mailstore told Prometheus.
type scraped map[string]*dto.MetricFamily

// scrape reads the metrics of a mailstore as Prometheus does. They are there soon, whatever is wrong.
func scrape(t *testing.T, c *nodetest.Cluster, i int) scraped {
	t.Helper()
	begun := time.Now()
	status, text := get(t, c, i, http.MethodGet, "/metrics", metricsToken)
	if took := time.Since(begun); status != http.StatusOK || took > 2*time.Second {
		t.Fatalf("status %d after %s: %s", status, took, text)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// value is that of one metric; of a histogram it is the count. labels are name, value, name, value.
func (s scraped) value(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	for _, m := range s[name].GetMetric() {
		if !hasLabels(m, labels) {
			continue
		}
		switch {
		case m.Gauge != nil:
			return m.Gauge.GetValue()
		case m.Counter != nil:
			return m.Counter.GetValue()
		case m.Histogram != nil:
			return float64(m.Histogram.GetSampleCount())
		}
	}
	t.Fatalf("no metric %s%q", name, labels)
	return 0
}

func hasLabels(m *dto.Metric, labels []string) bool {
	has := map[string]string{}
	for _, l := range m.GetLabel() {
		has[l.GetName()] = l.GetValue()
	}
	for i := 0; i < len(labels); i += 2 {
		if has[labels[i]] != labels[i+1] {
			return false
		}
	}
	return true
}

func (s scraped) want(t *testing.T, want float64, name string, labels ...string) {
	t.Helper()
	if got := s.value(t, name, labels...); got != want {
		t.Errorf("%s%q is %v, want %v", name, labels, got, want)
	}
}

// mail sends a mail to each recipient over LMTP, each in a transaction of its own, and gives what was answered.
func mail(t *testing.T, c *nodetest.Cluster, i int, recipients ...string) (answers []error) {
	t.Helper()
	conn, err := net.Dial("tcp", c.Config(i).Listen.LMTP)
	if err != nil {
		t.Fatal(err)
	}
	client := smtp.NewClientLMTP(conn)
	defer client.Close()
	for k, to := range recipients {
		answers = append(answers, client.SendMail("mta@example.org", []string{to}, strings.NewReader(fmt.Sprintf("Subject: %d\r\n\r\n%[1]d\r\n", k))))
	}
	return answers
}

// imapSays sends lines to a mailstore's IMAP server, each after the answer to the last.
func imapSays(t *testing.T, c *nodetest.Cluster, i int, lines ...string) {
	t.Helper()
	conn, err := net.Dial("tcp", c.Config(i).Listen.IMAP)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewScanner(conn)
	in.Scan() // the greeting
	for _, line := range lines {
		if _, err := io.WriteString(conn, line+"\r\n"); err != nil {
			t.Fatal(err)
		}
		tag, _, _ := strings.Cut(line, " ")
		for in.Scan() && !strings.HasPrefix(in.Text(), tag+" ") {
			t.Log(in.Text())
		}
	}
}

// TestMetrics scrapes two mailstores between which mail was passed on.
func TestMetrics(t *testing.T) {
	c := startMeasured(t, 2)
	c.Account(1, "alone@example.com")
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	answers := mail(t, c, 1, "user@example.com", "user@example.com", "alone@example.com", "nobody@example.com")
	if answers[0] != nil || answers[1] != nil || answers[2] != nil || answers[3] == nil {
		t.Fatal(answers)
	}
	imapSays(t, c, 1, "a LOGIN alone@example.com wrong", "b NOOP", "c CREATE x", "d NONSENSE")

	s := scrape(t, c, 1)
	s.want(t, 1, "mailreplica_build_info", "version", "test")
	s.want(t, 1, "mailreplica_ready")
	s.want(t, 3, "mailreplica_lmtp_recipients_total", "client", "mta", "result", "delivered")
	s.want(t, 1, "mailreplica_lmtp_recipients_total", "client", "mta", "result", "refused", "reason", "not_found")
	s.want(t, 0, "mailreplica_lmtp_recipients_total", "client", "mta", "result", "deferred", "reason", "log_unavailable")
	s.want(t, 3, "mailreplica_lmtp_delivery_seconds", "client", "mta")
	s.want(t, 2, "mailreplica_lmtp_relayed_total", "result", "ok")
	s.want(t, 1, "mailreplica_imap_logins_total", "result", "credentials")
	s.want(t, 0, "mailreplica_imap_logins_total", "result", "ok")
	s.want(t, 1, "mailreplica_imap_commands_total", "command", "login", "result", "no")
	s.want(t, 1, "mailreplica_imap_commands_total", "command", "noop", "result", "ok")
	s.want(t, 1, "mailreplica_imap_commands_total", "command", "create", "result", "bad")
	s.want(t, 1, "mailreplica_imap_commands_total", "command", "unknown", "result", "bad")
	s.want(t, 1, "mailreplica_copies", "role", "replica", "state", "live")
	s.want(t, 1, "mailreplica_copies", "role", "single", "state", "live")
	s.want(t, 0, "mailreplica_copies", "role", "primary", "state", "live")
	s.want(t, 1, "mailreplica_body_store_seconds")
	s.want(t, 0, "mailreplica_accounts_not_served")
	s.want(t, 20_000, "mailreplica_sessions_max", "protocol", "imap")
	if s["go_goroutines"] == nil || s["process_resident_memory_bytes"] == nil {
		t.Error("nothing is told of Go or of the process")
	}

	s = scrape(t, c, 0)
	s.want(t, 2, "mailreplica_lmtp_recipients_total", "client", "mailstore", "result", "delivered")
	s.want(t, 0, "mailreplica_lmtp_recipients_total", "client", "mta", "result", "delivered")
	s.want(t, 1, "mailreplica_copies", "role", "primary", "state", "live")
	s.want(t, 1, "mailreplica_eventlog_reachable")
	if n := s.value(t, "mailreplica_eventlog_append_seconds"); n < 4 { // an Open, a Join, two changes
		t.Errorf("%v records appended, want 4 at least", n)
	}
	if n := s.value(t, "mailreplica_database_commit_seconds"); n < 4 {
		t.Errorf("%v transactions, want 4 at least", n)
	}
	if size := s.value(t, "mailreplica_database_size_bytes"); size < 4<<10 {
		t.Errorf("the database has %v bytes", size)
	}
	if n := s.value(t, "mailreplica_peer_requests_total", "mailstore", nodetest.Name(1), "result", "unanswered"); n != 0 {
		t.Errorf("%v requests were not answered", n)
	}
}

// TestMetricsOfALag holds up what a mailstore writes, while records of its stream come in.
func TestMetricsOfALag(t *testing.T) {
	c := startMeasured(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	stream := fmt.Sprint(copyOf(t, c.Nodes[1], id).Copy().Stream.Partition)
	scrape(t, c, 1).want(t, 0, "mailreplica_stream_lag_records", "stream", stream)
	scrape(t, c, 1).want(t, 0, "mailreplica_stream_lag_seconds", "stream", stream)

	release := node.HoldDatabase(c.Nodes[1])
	for k := range 5 {
		mustDeliver(t, c.Nodes[0], id, fmt.Sprint("message ", k))
	}
	c.Eventually("all five to be waited for", func() bool {
		return scrape(t, c, 1).value(t, "mailreplica_stream_lag_records", "stream", stream) >= 5
	})
	time.Sleep(50 * time.Millisecond)
	s := scrape(t, c, 1)
	if lag := s.value(t, "mailreplica_stream_lag_seconds", "stream", stream); lag < .05 || lag > 30 {
		t.Errorf("the replica lags by %v s", lag)
	}
	ahead := s.value(t, "mailreplica_stream_end_offset", "stream", stream) - s.value(t, "mailreplica_stream_applied_offset", "stream", stream)
	s.want(t, ahead, "mailreplica_stream_lag_records", "stream", stream)
	release()
	c.Eventually("the replica to be as new as the log", func() bool {
		s := scrape(t, c, 1)
		return s.value(t, "mailreplica_stream_lag_records", "stream", stream) == 0 && s.value(t, "mailreplica_stream_lag_seconds", "stream", stream) == 0
	})
}

// TestMetricsWithoutBrokers takes the brokers away: mail is put off, and the metrics say why.
func TestMetricsWithoutBrokers(t *testing.T) {
	c := startMeasured(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	c.StopBroker()
	if answers := mail(t, c, 0, "user@example.com"); answers[0] == nil {
		t.Fatal("mail was taken without brokers")
	}
	s := scrape(t, c, 0)
	s.want(t, 1, "mailreplica_lmtp_recipients_total", "client", "mta", "result", "deferred", "reason", "log_unavailable")
	s.want(t, 1, "mailreplica_eventlog_configured")
	s.want(t, 0, "mailreplica_eventlog_reachable")
	s.want(t, 0, "mailreplica_ready")
	if n := s.value(t, "mailreplica_eventlog_waiting_records") + s.value(t, "mailreplica_eventlog_appends_total", "result", "log_unavailable"); n == 0 {
		t.Error("no record waits, and none has failed")
	}
	c.StartBroker()
	c.Eventually("the brokers to be back", func() bool {
		s := scrape(t, c, 0)
		return s.value(t, "mailreplica_ready") == 1 && s.value(t, "mailreplica_eventlog_waiting_records") == 0
	})
}

// TestMetricsOfAPause: what is in a journal alone is counted.
func TestMetricsOfAPause(t *testing.T) {
	c := startMeasured(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	if _, err := c.Directory.SetPaused(t.Context(), id, true); err != nil {
		t.Fatal(err)
	}
	mode(t, c, 0, id, protocol.Paused)
	for k := range 3 {
		mustDeliver(t, c.Nodes[0], id, fmt.Sprint("message ", k))
	}
	s := scrape(t, c, 0)
	s.want(t, 3, "mailreplica_journal_changes")
	s.want(t, 1, "mailreplica_copies", "role", "primary", "state", "paused")
	s.want(t, 0, "mailreplica_copies", "role", "primary", "state", "live")
}

// TestMetricsOfWhatIsAway takes a peer and the directory away, and restarts a mailstore without brokers.
func TestMetricsOfWhatIsAway(t *testing.T) {
	c := startMeasured(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	s := scrape(t, c, 0)
	s.want(t, 1, "mailreplica_directory_reachable")
	s.want(t, 1, "mailreplica_database_writable")

	c.StopNode(1)
	get(t, c, 0, http.MethodPost, "/v1/getAccountStatus", nodetest.AdminToken) // asks the other mailstore
	if n := scrape(t, c, 0).value(t, "mailreplica_peer_requests_total", "mailstore", nodetest.Name(1), "result", "unanswered"); n == 0 {
		t.Error("the peer's silence is not counted")
	}

	directory := c.Config(0).Directory
	if err := os.Rename(directory, directory+".away"); err != nil {
		t.Fatal(err)
	}
	c.Eventually("the directory to be missed", func() bool {
		s := scrape(t, c, 0)
		return s.value(t, "mailreplica_directory_reachable") == 0 && s.value(t, "mailreplica_ready") == 0
	})
	if err := os.Rename(directory+".away", directory); err != nil {
		t.Fatal(err)
	}

	c.StopNode(0)
	c.StopBroker()
	c.StartNode(0)
	s = scrape(t, c, 0)
	s.want(t, 1, "mailreplica_accounts_not_served")
	s.want(t, 0, "mailreplica_eventlog_reachable")
	c.StartBroker()
	c.Eventually("the account to be served again", func() bool { return scrape(t, c, 0).value(t, "mailreplica_accounts_not_served") == 0 })
}

// TestMetricsAreForThoseWhoHoldAToken asks with every token there is, and with none.
func TestMetricsAreForThoseWhoHoldAToken(t *testing.T) {
	c := startMeasured(t, 1)
	for _, one := range []struct {
		method, path, token string
		want                int
	}{
		{http.MethodGet, "/metrics", "", http.StatusUnauthorized},
		{http.MethodGet, "/metrics", "0123456789abcdef-peer", http.StatusUnauthorized},
		{http.MethodGet, "/metrics", metricsToken + "x", http.StatusUnauthorized},
		{http.MethodGet, "/metrics", metricsToken, http.StatusOK},
		{http.MethodGet, "/metrics", nodetest.AdminToken, http.StatusOK},
		{http.MethodPost, "/v1/ping", metricsToken, http.StatusUnauthorized},
		{http.MethodPost, "/v1/ping", nodetest.AdminToken, http.StatusOK},
	} {
		if got, _ := get(t, c, 0, one.method, one.path, one.token); got != one.want {
			t.Errorf("%s %s with %q: %d, want %d", one.method, one.path, one.token, got, one.want)
		}
	}
}

// TestMetricsWithoutATokenOfTheirOwn: who configures none has not opened them to those who send none.
func TestMetricsWithoutATokenOfTheirOwn(t *testing.T) {
	c := nodetest.Start(t, 1)
	for token, want := range map[string]int{"": http.StatusUnauthorized, nodetest.AdminToken: http.StatusOK} {
		if got, _ := get(t, c, 0, http.MethodGet, "/metrics", token); got != want {
			t.Errorf("with %q: %d, want %d", token, got, want)
		}
	}
}

// TestMetricsAreAsPrometheusWantsThem has Prometheus' own linter look at names, units and texts.
func TestMetricsAreAsPrometheusWantsThem(t *testing.T) {
	c := startMeasured(t, 2)
	id := c.Account(0, "user@example.com")
	c.Replicate(id, 1, 10)
	_, text := get(t, c, 0, http.MethodGet, "/metrics", metricsToken)
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// BenchmarkScrape reads the metrics of a mailstore with many accounts.
func BenchmarkScrape(b *testing.B) {
	const accounts = 10_000
	c := nodetest.Start(b, 1)
	for range accounts {
		if _, err := c.Nodes[0].Mailstore().Create(b.Context(), account.NewID()); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://"+c.Config(0).Listen.Admin+"/metrics", nil)
		if err != nil {
			b.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+nodetest.AdminToken)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if err != nil || n == 0 {
			b.Fatal(n, err)
		}
	}
}
