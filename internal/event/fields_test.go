package event_test

import (
	"reflect"
	"testing"
)

// TestSamplesSetEveryField: a field that is added to a row, an effect or a record must be added to a sample, and the
// round trip of that shows whether the encoding knows it.
func TestSamplesSetEveryField(t *testing.T) {
	set, known := map[string]bool{}, map[string]bool{}
	var visit func(reflect.Value)
	visit = func(v reflect.Value) {
		if v.Kind() != reflect.Struct {
			return
		}
		for i := range v.NumField() {
			name := v.Type().Name() + "." + v.Type().Field(i).Name
			known[name] = true
			set[name] = set[name] || !v.Field(i).IsZero()
			visit(v.Field(i))
		}
	}
	for _, r := range records() {
		visit(reflect.ValueOf(r))
	}
	for _, e := range effects() {
		visit(reflect.ValueOf(e))
	}
	for _, r := range rows() {
		visit(reflect.ValueOf(r))
	}
	for name := range known {
		if !set[name] {
			t.Errorf("no sample sets %s", name)
		}
	}
}
