package deploy_test

import (
	"encoding/json"
	"testing"
)

// panel is a part of Grafana's dashboard.
type panel struct {
	ID         int
	Type       string
	Title      string
	Datasource struct{ Type, UID string }
	GridPos    struct{ H, W, X, Y int }
	Targets    []struct {
		RefID        string
		Expr         string
		LegendFormat string
	}
}

type dashboardOfGrafana struct {
	UID, Title    string
	SchemaVersion int
	Panels        []panel
}

func dashboard(t *testing.T) (d dashboardOfGrafana) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, "grafana/mailreplica.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDashboard: what its panels ask for is held against the metrics in TestMetricsThatAreNamed. Here: that each can be shown.
func TestDashboard(t *testing.T) {
	d := dashboard(t)
	if d.SchemaVersion < 38 { // of Grafana 10
		t.Errorf("the dashboard is of schema %d", d.SchemaVersion)
	}
	ids, places := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("the panel %q has the id %d of another, or no title", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && (len(p.Targets) == 0 || p.Datasource.UID != "${datasource}") {
			t.Errorf("%s asks nobody: %+v", p.Title, p)
		}
		for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				if other := places[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s lies on %q, or beside the page", p.Title, other)
				}
				places[[2]int{x, y}] = p.Title
			}
		}
	}
}
