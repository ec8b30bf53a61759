package node

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"mailreplica/internal/admin"
	"mailreplica/internal/measure"
)

// Bounds of scrapes: they read what is in memory, and take a few milliseconds.
const (
	scrapesMax = 4
	scrapeWait = 10 * time.Second
)

// metricsHandler answers Prometheus, which has to present the token of the role metrics or admin.
func (n *Node) metricsHandler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), metrics{n})
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: scrapesMax, Timeout: scrapeWait})
	return admin.Guard(handler, "the token is missing, or it is not the one of the role metrics or admin",
		"let Prometheus send the token in the file that tokens.metrics names: authorization, credentials_file", n.tokens.metrics, n.tokens.admin)
}

// metrics are what a mailstore tells Prometheus. Everything is read when it is asked for, from memory: nothing waits for a database,
// for brokers or for another mailstore, all of which may be what is wrong. No label is an account's.
type metrics struct{ n *Node }

// Describe implements prometheus.Collector.
func (m metrics) Describe(out chan<- *prometheus.Desc) {
	for _, f := range families {
		out <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (m metrics) Collect(out chan<- prometheus.Metric) {
	r := &reading{Node: m.n, held: m.n.countCopies(), streams: m.n.agent.Streams()}
	for _, f := range families {
		f.read(r, sink{f, out})
	}
}

// reading is a mailstore, and what several families tell of it.
type reading struct {
	*Node
	held    heldCopies
	streams []streamStatus
}

// family is all that is told under one name.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(r *reading, to sink)
}

// labels are the names of a family's labels.
type labels []string

func gauge(name, help string, l labels, read func(*reading, sink)) family {
	return family{prometheus.NewDesc(name, help, l, nil), prometheus.GaugeValue, read}
}

func counter(name, help string, l labels, read func(*reading, sink)) family {
	return family{prometheus.NewDesc(name, help, l, nil), prometheus.CounterValue, read}
}

func histogram(name, help string, l labels, read func(*reading, sink)) family {
	return family{prometheus.NewDesc(name, help, l, nil), prometheus.UntypedValue, read}
}

// sink takes the values of a family.
type sink struct {
	family
	out chan<- prometheus.Metric
}

func (s sink) number(v float64, values ...string) {
	s.out <- prometheus.MustNewConstMetric(s.desc, s.kind, v, values...)
}

func (s sink) yes(is bool, values ...string) {
	v := 0.0
	if is {
		v = 1
	}
	s.number(v, values...)
}

func (s sink) durations(d *measure.Durations, values ...string) {
	read := d.Read()
	s.out <- prometheus.MustNewConstHistogram(s.desc, read.Count, read.Seconds, read.AtMost, values...)
}

func (s sink) outcomes(o *measure.Outcomes) {
	for result, n := range o.All() {
		s.number(float64(n), result)
	}
}
