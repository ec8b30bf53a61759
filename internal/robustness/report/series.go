package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// Series is one figure of one process over time.
type Series struct {
	Process, Figure string
	Kind            Kind
	At              []time.Duration
	Values          []float64
	Messages        []float64 // that were acknowledged by then
	Lives           []int     // which life of the process it was
}

// Kind is what is expected of a figure.
type Kind int

// Level figures have to stay as they are; Grows ones grow with the messages, and are told for each.
const (
	Level Kind = iota
	Grows
)

// warmUp is the part of a run after which figures are judged.
const warmUp = 3 // one third

// Add adds a sample, of one life of the process.
func (s *Series) Add(at time.Duration, value, messages float64, life int) {
	s.At, s.Values, s.Messages = append(s.At, at), append(s.Values, value), append(s.Messages, messages)
	s.Lives = append(s.Lives, life)
}

// Verdict is what a series says.
type Verdict struct {
	Mean, Least, Most float64 // after the warm-up
	PerHour           float64 // slope of the line that fits best
	Drift             float64 // that slope over the time judged
	Doubt             float64 // standard error of the drift
	PerMessage        float64
	OK                bool
}

// sure is how many standard errors a drift has to be above nothing: what swings from sample to sample has a slope by chance.
const sure = 3

// Judge fits a line to what comes after the warm-up. A level figure has to drift by less than a tenth of its mean, or less than some
// absolute amount, which is that of a few requests more or less under way, or less than chance explains. What a process leaks it
// leaks while it lives: that the next life begins higher or lower is no drift.
func (s *Series) Judge(few float64) (v Verdict) {
	if len(s.At) == 0 {
		return v
	}
	from := len(s.At) / warmUp
	at, values := s.At[from:], s.Values[from:]
	hours := make([]float64, len(at))
	v.Least, v.Most = math.Inf(1), math.Inf(-1)
	for i := range at {
		hours[i] = at[i].Hours()
		v.Mean += values[i] / float64(len(values))
		v.Least, v.Most = min(v.Least, values[i]), max(v.Most, values[i])
	}
	took := hours[len(hours)-1] - hours[0]
	within, moved := s.fromMean(from, hours), s.fromMean(from, values)
	v.PerHour = slope(within, moved)
	v.Drift, v.Doubt = v.PerHour*took, slopeError(within, moved, v.PerHour)*took
	v.PerMessage = slope(s.Messages[from:], values)
	v.OK = s.Kind == Grows || v.Drift < max(few, v.Mean/10, sure*v.Doubt)
	return v
}

// fromMean is how far the figures of samples are from the mean of those of the same life.
func (s *Series) fromMean(from int, figures []float64) []float64 {
	sum, count := map[int]float64{}, map[int]float64{}
	for i, figure := range figures {
		life := s.Lives[from+i]
		sum[life], count[life] = sum[life]+figure, count[life]+1
	}
	off := make([]float64, len(figures))
	for i, figure := range figures {
		life := s.Lives[from+i]
		off[i] = figure - sum[life]/count[life]
	}
	return off
}

// slope is that of the line of least squares.
func slope(x, y []float64) float64 {
	var mx, my, xy, xx float64
	for i := range x {
		mx, my = mx+x[i]/float64(len(x)), my+y[i]/float64(len(y))
	}
	for i := range x {
		xy, xx = xy+(x[i]-mx)*(y[i]-my), xx+(x[i]-mx)*(x[i]-mx)
	}
	if xx == 0 {
		return 0
	}
	return xy / xx
}

// slopeError is the standard error of such a slope.
func slopeError(x, y []float64, by float64) float64 {
	n := float64(len(x))
	if n < 3 {
		return math.Inf(1)
	}
	var mx, my, rest, xx float64
	for i := range x {
		mx, my = mx+x[i]/n, my+y[i]/n
	}
	for i := range x {
		off := y[i] - my - by*(x[i]-mx)
		rest, xx = rest+off*off, xx+(x[i]-mx)*(x[i]-mx)
	}
	if xx == 0 {
		return math.Inf(1)
	}
	return math.Sqrt(rest / (n - 2) / xx)
}

// Few is the drift of a level figure that means nothing.
func Few(figure string) float64 {
	return map[string]float64{"RSS MB": 6, "heap MB": 3, "goroutines": 25, "open files": 15, "threads": 4}[figure]
}

// Table writes the verdicts, as Markdown, and reports whether all are good.
func Table(w io.Writer, all []*Series) (ok bool, err error) {
	ok = true
	if _, err := fmt.Fprintln(w, "| process | figure | mean | least | most | drift | for each message | |\n|---|---|---|---|---|---|---|---|"); err != nil {
		return false, err
	}
	for _, s := range all {
		v := s.Judge(Few(s.Figure))
		ok = ok && v.OK
		verdict, each := "level", "–"
		if s.Kind == Grows {
			verdict, each = "grows", number(v.PerMessage)
		} else if !v.OK {
			verdict = "**not level**"
		}
		_, err := fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", s.Process, s.Figure, number(v.Mean), number(v.Least),
			number(v.Most), number(v.Drift), each, verdict)
		if err != nil {
			return false, err
		}
	}
	return ok, nil
}

func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 1:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

// CSV writes all samples, a line each.
func CSV(w io.Writer, all []*Series) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"process", "figure", "second", "value", "messages"}) // kept for Error
	for _, s := range all {
		for i := range s.At {
			_ = out.Write([]string{s.Process, s.Figure, strconv.FormatFloat(s.At[i].Seconds(), 'f', 1, 64),
				strconv.FormatFloat(s.Values[i], 'f', 3, 64), strconv.FormatFloat(s.Messages[i], 'f', 0, 64)})
		}
	}
	out.Flush()
	return out.Error()
}

// The picture is a grid of small charts.
const (
	chartWidth, chartHeight = 260, 110
	chartMargin             = 22
	chartColumns            = 4
)

// SVG draws every series as a small chart from zero.
func SVG(w io.Writer, all []*Series) error {
	rows := (len(all) + chartColumns - 1) / chartColumns
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n",
		chartColumns*chartWidth, rows*chartHeight)
	for i, s := range all {
		x, y := i%chartColumns*chartWidth, i/chartColumns*chartHeight
		most, last := 1e-9, time.Duration(1)
		for k := range s.At {
			most, last = max(most, s.Values[k]), max(last, s.At[k])
		}
		var points strings.Builder
		for k := range s.At {
			fmt.Fprintf(&points, "%.1f,%.1f ", float64(x+4)+float64(s.At[k])/float64(last)*(chartWidth-16),
				float64(y+chartHeight-8)-s.Values[k]/most*(chartHeight-chartMargin-8))
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d">%s, %s: up to %s</text><polyline fill="none" stroke="#246" points="%s"/>`+"\n",
			x+4, y+14, s.Process, s.Figure, number(most), points.String())
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}
