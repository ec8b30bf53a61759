package deploy_test

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"mailreplica/internal/node/nodetest"
)

// metrics are those that a mailstore tells Prometheus of, by name: the values of each of their labels.
type metrics map[string]map[string][]string

// ofPrometheus are labels that Prometheus itself gives a metric.
var ofPrometheus = []string{"job", "instance"}

// Parts of PromQL, as far as they are needed here.
var (
	// metricName finds what Prometheus is told of a mailstore. What a histogram adds to its name is left out.
	metricName = regexp.MustCompile(`\b((?:mailreplica|process|go)_[a-z_]+?)(?:_bucket|_sum|_count)?\b`)
	selector   = regexp.MustCompile(metricName.String() + `\{([^}]*)\}`)
	matcher    = regexp.MustCompile(`([a-z]+)(=~|!~|=|!=)"([^"]*)"`)
	grouping   = regexp.MustCompile(`\b(?:by|on|group_left) \(([^)]*)\)`)
	shown      = regexp.MustCompile(`\{\{([a-z]+)\}\}`)
)

// metricsOfAMailstore asks one that has another beside it, and a replica.
func metricsOfAMailstore(t *testing.T) metrics {
	t.Helper()
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
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	all := metrics{"mailreplica_certificate_expiry_timestamp_seconds": nil} // of mailstores with TLS
	for name, family := range families {
		all[name] = map[string][]string{}
		for _, metric := range family.Metric {
			if metric.Histogram != nil {
				all[name]["le"] = nil
			}
			for _, label := range metric.Label {
				all[name][label.GetName()] = append(all[name][label.GetName()], label.GetValue())
			}
		}
	}
	return all
}

// named finds the metrics that a text names. Each is one that there is.
func (m metrics) named(t *testing.T, where, text string) (names []string) {
	t.Helper()
	for _, name := range metricName.FindAllStringSubmatch(text, -1) {
		if _, told := m[name[1]]; !told {
			t.Errorf("%s names %s, which no mailstore tells", where, name[0])
		}
		names = append(names, name[1])
	}
	return names
}

// check holds an expression against what there is: metrics, their labels, and the values that it looks for.
func (m metrics) check(t *testing.T, where, expression string) {
	t.Helper()
	labels := m.labels(t, where, expression)
	for _, s := range selector.FindAllStringSubmatch(expression, -1) {
		for _, match := range matcher.FindAllStringSubmatch(s[2], -1) {
			label, value := match[1], match[3]
			if slices.Contains(ofPrometheus, label) {
				continue
			}
			values, there := m[s[1]][label]
			if exactly := regexp.MustCompile("^(?:" + value + ")$"); !there || !slices.ContainsFunc(values, exactly.MatchString) {
				t.Errorf("%s: no %s has %s", where, s[1], match[0])
			}
		}
	}
	for _, group := range grouping.FindAllStringSubmatch(expression, -1) {
		for label := range strings.SplitSeq(group[1], ",") {
			if label = strings.TrimSpace(label); label != "" && !slices.Contains(labels, label) {
				t.Errorf("%s: nothing in %s has the label %s", where, expression, label)
			}
		}
	}
}

// legend holds what is shown of each line of an expression against its labels.
func (m metrics) legend(t *testing.T, where, expression, format string) {
	t.Helper()
	left := m.labels(t, where, expression)
	if by := regexp.MustCompile(`\bby \(([^)]*)\)`).FindStringSubmatch(expression); by != nil {
		left = strings.Split(by[1], ", ")
	}
	for _, label := range shown.FindAllStringSubmatch(format, -1) {
		if !slices.Contains(left, label[1]) {
			t.Errorf("%s: %s has no label %s to be shown", where, expression, label[1])
		}
	}
}

// labels are those of all metrics of an expression.
func (m metrics) labels(t *testing.T, where, expression string) []string {
	t.Helper()
	all := slices.Clone(ofPrometheus)
	for _, name := range m.named(t, where, expression) {
		all = slices.AppendSeq(all, maps.Keys(m[name]))
	}
	return all
}
