package deploy_test

import (
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"mailreplica/internal/node/nodetest"
)

// metricName finds what Prometheus is told of a mailstore. What a histogram adds to its name is left out.
var metricName = regexp.MustCompile(`\b((?:mailreplica|process|go)_[a-z_]+?)(?:_bucket|_sum|_count)?\b`)

// TestMetricsThatAreNamed holds what is written for operators against what a mailstore tells: an alert on a metric that nobody exports
// stays silent for ever.
func TestMetricsThatAreNamed(t *testing.T) {
	c := nodetest.Start(t, 2) // so that there are peers, and streams
	c.Replicate(c.Account(0, "user@example.com"), 1, 10)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.Config(0).Listen.Admin+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+nodetest.AdminToken)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	exported := map[string]bool{"mailreplica_certificate_expiry_timestamp_seconds": true} // of mailstores with TLS
	for line := range strings.Lines(string(text)) {
		if name, is := strings.CutPrefix(line, "# TYPE "); is {
			exported[strings.Fields(name)[0]] = true
		}
	}
	for _, file := range []string{"prometheus/mailreplica.rules.yml", "prometheus/rules.test.yml", "../docs/operations.md"} {
		names := metricName.FindAllStringSubmatch(read(t, file), -1)
		if len(names) < 5 {
			t.Errorf("%s names %d metrics", file, len(names))
		}
		for _, name := range names {
			if !exported[name[1]] {
				t.Errorf("%s names %s, which no mailstore tells", file, name[0])
			}
		}
	}
}

// TestAlerts: each says in words what is wrong and how urgent it is, and stands in the table that says what to do about it. Where
// Prometheus' own tool is installed (promtool, of Debian's package prometheus), it reads the examples and tries the alerts.
func TestAlerts(t *testing.T) {
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert       string
				Expr        string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "prometheus/mailreplica.rules.yml")), &rules); err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z][A-Za-z]+)` \\|").FindAllStringSubmatch(read(t, "../docs/operations.md"), -1) {
		documented[row[1]] = true
	}
	for _, rule := range rules.Groups[0].Rules {
		severity := rule.Labels["severity"]
		if severity != "critical" && severity != "warning" || rule.Annotations["summary"] == "" || rule.Expr == "" {
			t.Errorf("the alert %s has no severity, text or expression", rule.Alert)
		}
		if !documented[rule.Alert] {
			t.Errorf("docs/operations.md does not say what to do about %s", rule.Alert)
		}
		delete(documented, rule.Alert)
	}
	for name := range documented {
		t.Errorf("docs/operations.md speaks of %s, which is no alert", name)
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		return
	}
	for _, arguments := range [][]string{
		{"check", "config", "--syntax-only", "prometheus.yml"}, {"check", "rules", "mailreplica.rules.yml"}, {"test", "rules", "rules.test.yml"},
	} {
		command := exec.CommandContext(t.Context(), promtool, arguments...)
		command.Dir = "prometheus"
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(arguments, " "), err, out)
		}
	}
}
