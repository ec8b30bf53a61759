package report

import (
	"encoding/xml"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Plot shows rows as groups of bars, a bar a system with a line from its lowest round to its highest.
type Plot struct {
	File        string
	Group       string // whose title it stands under
	Title       string
	Rows        []string
	Logarithmic bool
}

// Plots are those of a page.
func Plots() []Plot {
	return []Plot{
		{"delivery.svg", "Delivery over LMTP", "Delivery, messages/s", []string{"delivery.1", "delivery.4", "delivery.16"}, false},
		{"acknowledgement.svg", "Acknowledgement", "Acknowledgement, ms, logarithmic", []string{"ack.1.p50", "ack.1.p99", "ack.16.p50", "ack.16.p99"}, true},
		{"replica.svg", "On the replica after the acknowledgement", "On the replica after the acknowledgement, ms, logarithmic",
			[]string{"visible.quiet.p50", "visible.quiet.p99", "visible.load.p50", "visible.load.p99"}, true},
		{"imap-1.svg", "IMAP, one connection", "IMAP, one connection, changes/s", []string{"append.1", "flag.1", "move.1", "expunge.1"}, false},
		{"imap-16.svg", "IMAP, 16 connections", "IMAP, 16 connections, changes/s", []string{"append.16", "flag.16", "move.16", "expunge.16"}, false},
		{"cpu.svg", "Cost of a delivered message", "Processor time of a message, ms", []string{"cpu"}, false},
	}
}

// colours of systems, in their order.
var colours = []string{"#9ecae1", "#3182bd", "#08306b", "#31a354", "#fdae6b", "#e6550d", "#756bb1", "#636363"}

// Measures of a plot, in pixels.
const (
	plotWidth, plotHeight = 860, 340
	plotLeft, plotRight   = 70, 15
	plotTop, plotBottom   = 80, 35
	steps                 = 5 // of a linear scale
	legendColumns         = 3
)

// scale places figures on the vertical axis.
type scale struct {
	low, high   float64
	logarithmic bool
}

func (s scale) y(f float64) float64 {
	share := f / s.high
	if s.logarithmic {
		share = math.Log(max(f, s.low)/s.low) / math.Log(s.high/s.low)
	}
	return plotTop + (plotHeight-plotTop-plotBottom)*(1-min(1, max(0, share)))
}

// ticks are the values that get a line across.
func (s scale) ticks() (all []float64) {
	if s.logarithmic {
		for f := s.low; f <= s.high*1.001; f *= 10 {
			all = append(all, f)
		}
		return all
	}
	for i := range steps + 1 {
		all = append(all, s.high*float64(i)/steps)
	}
	return all
}

// newScale holds all figures between round numbers.
func newScale(figures []float64, logarithmic bool) scale {
	low, high := math.Inf(1), 0.0
	for _, f := range figures {
		if f > 0 {
			low, high = min(low, f), max(high, f)
		}
	}
	if high == 0 {
		low, high = 1, 1
	}
	if logarithmic {
		s := scale{math.Pow(10, math.Floor(math.Log10(low*0.7))), math.Pow(10, math.Ceil(math.Log10(high))), true}
		if s.low == s.high {
			s.high *= 10
		}
		return s
	}
	unit := math.Pow(10, math.Floor(math.Log10(high)))
	return scale{0, unit * math.Ceil(high/unit*2) / 2, false}
}

// SVG draws a plot.
func (p Plot) SVG(r *Record) string {
	var figures []float64
	for _, row := range p.Rows {
		for _, s := range r.Systems {
			figures = append(figures, s.Figures[row]...)
		}
	}
	s := newScale(figures, p.Logarithmic)
	var b strings.Builder
	draw := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	draw(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12">`, plotWidth, plotHeight)
	draw(`<rect width="%d" height="%d" fill="white"/>`, plotWidth, plotHeight)
	draw(`<text x="%d" y="22" font-size="15" font-weight="bold">%s</text>`, plotLeft, escape(p.Title))
	p.legend(draw, r)
	for _, tick := range s.ticks() {
		y := s.y(tick)
		draw(`<line x1="%d" x2="%d" y1="%.1f" y2="%.1[3]f" stroke="#cccccc"/>`, plotLeft, plotWidth-plotRight, y)
		draw(`<text x="%d" y="%.1f" text-anchor="end">%s</text>`, plotLeft-6, y+4, tickLabel(tick))
	}
	p.bars(draw, r, s)
	draw(`</svg>`)
	return b.String()
}

func (p Plot) legend(draw func(string, ...any), r *Record) {
	for i, system := range r.Systems {
		x, y := plotLeft+i%legendColumns*(plotWidth-plotLeft)/legendColumns, 32+i/legendColumns*18
		draw(`<rect x="%d" y="%d" width="12" height="12" fill="%s"/>`, x, y, colours[i%len(colours)])
		draw(`<text x="%d" y="%d" font-size="11">%s</text>`, x+16, y+10, escape(system.Title))
	}
}

func (p Plot) bars(draw func(string, ...any), r *Record, s scale) {
	group := float64(plotWidth-plotLeft-plotRight) / float64(len(p.Rows))
	bar := min(60, 0.85*group/float64(max(1, len(r.Systems))))
	for i, key := range p.Rows {
		begin := plotLeft + group*float64(i) + (group-bar*float64(len(r.Systems)))/2
		draw(`<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, plotLeft+group*(float64(i)+0.5), plotHeight-12, escape(titleOf(key)))
		for j, system := range r.Systems {
			x := begin + bar*float64(j)
			summary, ok := Summarise(system.Figures[key])
			if !ok {
				draw(`<text x="%.1f" y="%d" text-anchor="middle" fill="#999999">–</text>`, x+bar/2, plotHeight-plotBottom-3)
				continue
			}
			top := s.y(summary.Median)
			draw(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"><title>%s: %s</title></rect>`, x+1, top, bar-2,
				plotHeight-plotBottom-top, colours[j%len(colours)], escape(system.Title), number(summary.Median))
			draw(`<line x1="%.1f" x2="%.1[1]f" y1="%.1f" y2="%.1f" stroke="black"/>`, x+bar/2, s.y(summary.Low), s.y(summary.High))
		}
	}
	draw(`<line x1="%d" x2="%d" y1="%d" y2="%[3]d" stroke="black"/>`, plotLeft, plotWidth-plotRight, plotHeight-plotBottom)
}

func titleOf(key string) string {
	for _, group := range Groups() {
		for _, row := range group.Rows {
			if row.Key == key {
				return row.Title
			}
		}
	}
	return key
}

func tickLabel(f float64) string {
	if f >= 1000 {
		return number(f)
	}
	return strconv.FormatFloat(f, 'g', 4, 64)
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}
