package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	run := `{"Action":"output","Package":"p","Test":"TestGood","Output":"nobody wants to see this\n"}
{"Action":"pass","Package":"p","Test":"TestGood"}
{"Action":"output","Package":"p","Test":"TestBad","Output":"what went wrong\n"}
{"Action":"fail","Package":"p","Test":"TestBad"}
{"Action":"output","Package":"p","Test":"TestSkipped","Output":"why it was skipped\n"}
{"Action":"skip","Package":"p","Test":"TestSkipped"}
{"Action":"skip","Package":"without/tests"}
{"Action":"build-output","ImportPath":"q","Output":"does not compile\n"}
{"Action":"fail","Package":"p","Elapsed":1.5}
something that is no JSON
`
	var out strings.Builder
	passed, failed, skipped, err := report(strings.NewReader(run), &out)
	if err != nil || passed != 1 || failed != 1 || skipped != 1 {
		t.Errorf("got %d passed, %d failed, %d skipped, %v; want 1 of each", passed, failed, skipped, err)
	}
	for _, want := range []string{"what went wrong", "why it was skipped", "does not compile", "FAIL  p", "something that is no JSON"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not say %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "nobody wants to see this") {
		t.Error("the report shows the output of a test that passed")
	}
}
