package eventlog_test

import (
	"fmt"
	"strings"
	"testing"

	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
)

func TestParseBrokers(t *testing.T) {
	tests := []struct {
		list string
		want []string // nil: refused
		says string   // what the error must name
	}{
		{list: "event1.example.com:9092,event2.example.com:9093", want: []string{"event1.example.com:9092", "event2.example.com:9093"}},
		{list: " a:9092, b ,[::1]:9092, ::2 ", want: []string{"a:9092", "b:9092", "[::1]:9092", "[::2]:9092"}},
		{list: "127.0.0.10", want: []string{"127.0.0.10:9092"}},
		{list: "[2001:DB8:0::1]", want: []string{"[2001:db8::1]:9092"}},
		{list: "fe80::1%eth0", want: []string{"[fe80::1%eth0]:9092"}},
		{list: "Kafka_1.Example.com.", want: []string{"kafka_1.example.com.:9092"}},
		{list: "", says: "empty"},
		{list: " , ", says: "empty entry"},
		{list: "a,", says: "empty entry"},
		{list: "a,A:9092", says: `"a:9092" is named twice`},
		{list: "::1,[0::1]:9092", says: `"[::1]:9092" is named twice`},
		{list: "a:0", says: `"a:0"`},
		{list: "a:65536", says: `"a:65536"`},
		{list: "a:http", says: `"http" is no port`},
		{list: "a:", says: `"a:"`},
		{list: ":9092", says: `":9092"`},
		{list: "[::1", says: `"[::1"`},
		{list: "[::1]x", says: `"[::1]x"`},
		{list: "[a]:9092", says: `"[a]:9092"`},
		{list: "[127.0.0.1]:9092", says: `"[127.0.0.1]:9092"`},
		{list: "::1:9092:x", says: `"::1:9092:x"`},
		{list: "300.1.1.1", says: `"300.1.1.1"`},
		{list: "a b:9092", says: `"a b:9092"`},
		{list: "http://a:9092", says: `"http://a:9092"`},
		{list: "a;rm -rf", says: `"a;rm -rf"`},
		{list: "-a", says: `"-a"`},
		{list: strings.Repeat("a", 64), says: "aaa"},
	}
	for _, test := range tests {
		t.Run(test.list, func(t *testing.T) {
			got, err := eventlog.ParseBrokers(test.list)
			if test.want != nil {
				if err != nil || fmt.Sprint(got) != fmt.Sprint(test.want) {
					t.Errorf("got %v, %v, want %v", got, err, test.want)
				}
				return
			}
			if !fault.Is(err, fault.Invalid) || !strings.Contains(fault.Message(err), test.says) {
				t.Errorf("got %v, %v, want an error of kind %v that says %s", got, err, fault.Invalid, test.says)
			}
		})
	}
}
