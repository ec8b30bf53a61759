package admin_test

import (
	"strings"
	"testing"

	"mailreplica/internal/admin"
	"mailreplica/internal/admin/admintest"
	"mailreplica/internal/eventlog"
	"mailreplica/internal/eventlog/broker/brokertest"
	"mailreplica/internal/fault"
)

func TestSettings(t *testing.T) {
	p := admintest.Start(t, 2)
	c := client(t, p, 1)
	for _, test := range []struct {
		name, value, stored string
		kind                fault.Kind
		problem             string
	}{
		{name: "NotificationFrom", value: "postmaster@example.com", stored: "postmaster@example.com"},
		{name: "notificationFrom", value: "Evil\r\nBcc: x@example.com", kind: fault.Invalid, problem: "address"},
		{name: "notificationFrom", value: "", stored: ""},
		{name: "notificationWebhook", value: " https://hooks.example.com/x ", stored: "https://hooks.example.com/x"},
		{name: "notificationWebhook", value: "file:///etc/passwd", kind: fault.Invalid, problem: "URL"},
		{name: "colour", value: "red", kind: fault.Invalid, problem: "no global setting"},
		{name: "brokers", value: "one:two:three", kind: fault.Invalid, problem: "one:two:three"},
		{name: "brokers", value: "127.0.0.1:1", kind: fault.LogUnavailable, problem: "nothing was changed"},
	} {
		_, err := c.SetConfig(t.Context(), test.name, test.value)
		if test.problem != "" {
			wantFault(t, err, test.kind, test.problem)
			continue
		}
		must(t, err)
		found, err := c.GetConfig(t.Context(), strings.ToUpper(test.name))
		must(t, err)
		if got := valueOf(found[0]); got != test.stored {
			t.Errorf("%s: got %q, want %q", test.name, got, test.stored)
		}
	}
	all, err := c.GetConfig(t.Context(), "")
	must(t, err)
	if len(all) != 3 || all[0].Name != admin.SettingBrokers || valueOf(all[0]) != "127.0.0.1:9092" {
		t.Errorf("got %+v", all)
	}
	_, err = c.GetConfig(t.Context(), "colour")
	wantFault(t, err, fault.Invalid, "colour")
}

func valueOf(s admin.Setting) string {
	if s.Value == nil {
		return ""
	}
	return *s.Value
}

// Without replicas any cluster that answers is taken. With replicas it must be the one that holds their log.
func TestBrokersOfAnotherClusterAreRefusedWhileReplicasExist(t *testing.T) {
	p := admintest.Start(t, 2)
	c := client(t, p, 1)
	another := brokertest.Start(t)
	set, err := c.SetConfig(t.Context(), "brokers", another)
	must(t, err)
	if valueOf(set) != another {
		t.Errorf("got %q, want %q", valueOf(set), another)
	}
	a := p.Account(t, 1, "a@example.com")
	p.Replica(t, a.ID, 2, 10)
	before, err := p.Directory.Version(t.Context())
	must(t, err)
	_, err = c.SetConfig(t.Context(), "brokers", another)
	wantFault(t, err, fault.Invalid, "not to "+admintest.Cluster)
	_, err = c.SetConfig(t.Context(), "brokers", "")
	wantFault(t, err, fault.Invalid, "1 account has replicas")
	after, err := p.Directory.Version(t.Context())
	must(t, err)
	if before != after {
		t.Error("a refused setting changed the directory")
	}
}

// A client asks any of the brokers: those of two clusters are refused together, whichever stands first.
func TestBrokersOfTwoClustersAreRefused(t *testing.T) {
	p := admintest.Start(t, 1)
	c := client(t, p, 1)
	one, two := brokertest.Start(t), brokertest.Start(t)
	for _, value := range []string{one + "," + two, two + "," + one} {
		_, err := c.SetConfig(t.Context(), "brokers", value)
		wantFault(t, err, fault.Invalid, "not all of one cluster")
	}
	set, err := c.SetConfig(t.Context(), "brokers", one+",127.0.0.1:1") // one may be away
	must(t, err)
	if want := one + ",127.0.0.1:1"; valueOf(set) != want {
		t.Errorf("got %q, want %q", valueOf(set), want)
	}
}

func TestTestBrokers(t *testing.T) {
	p := admintest.Start(t, 1)
	c := client(t, p, 1)
	address := brokertest.Start(t)
	report, err := c.TestBrokers(t.Context(), admin.TestBrokers{Brokers: address})
	must(t, err)
	if report.ClusterID == "" || len(report.Brokers) != 1 || report.Brokers[0].Error != "" || report.RoundTrip.Refused != "" {
		t.Errorf("got %+v", report)
	}
	_, err = c.TestBrokers(t.Context(), admin.TestBrokers{Brokers: "127.0.0.1:1"})
	wantFault(t, err, fault.LogUnavailable, "none of the brokers 127.0.0.1:1 answers mbox1")
	_, err = c.TestBrokers(t.Context(), admin.TestBrokers{Brokers: address, SASL: eventlog.SASL{Mechanism: "MAGIC", User: "u"}})
	wantFault(t, err, fault.Invalid, "MAGIC")
	_, err = c.TestBrokers(t.Context(), admin.TestBrokers{Brokers: ","})
	wantFault(t, err, fault.Invalid, "empty")
}
