package deploy_test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestMetricsThatAreNamed holds what is written for operators against what a mailstore tells: an alert on a metric that nobody exports
// stays silent for ever.
func TestMetricsThatAreNamed(t *testing.T) {
	metrics := metricsOfAMailstore(t)
	for _, file := range []string{"prometheus/mailreplica.rules.yml", "prometheus/rules.test.yml", "../docs/operations.md"} {
		if names := metrics.named(t, file, read(t, file)); len(names) < 5 {
			t.Errorf("%s names %d metrics", file, len(names))
		}
	}
	for _, rule := range alerts(t) {
		metrics.check(t, rule.Alert, rule.Expr)
	}
	d := dashboard(t)
	if len(d.Panels) < 20 {
		t.Errorf("the dashboard has %d panels", len(d.Panels))
	}
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			metrics.check(t, panel.Title, target.Expr)
			metrics.legend(t, panel.Title, target.Expr, target.LegendFormat)
		}
	}
}

type alert struct {
	Alert       string
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

func alerts(t *testing.T) []alert {
	t.Helper()
	var rules struct {
		Groups []struct{ Rules []alert }
	}
	if err := yaml.Unmarshal([]byte(read(t, "prometheus/mailreplica.rules.yml")), &rules); err != nil {
		t.Fatal(err)
	}
	return rules.Groups[0].Rules
}

// TestAlerts: each says in words what is wrong and how urgent it is, and stands in the table that says what to do about it. Where
// Prometheus' own tool is installed (promtool, of Debian's package prometheus), it reads the examples and tries the alerts.
func TestAlerts(t *testing.T) {
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z][A-Za-z]+)` \\|").FindAllStringSubmatch(read(t, "../docs/operations.md"), -1) {
		documented[row[1]] = true
	}
	for _, rule := range alerts(t) {
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
