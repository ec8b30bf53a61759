// Command soak runs a cluster for long, under load and faults, and tells whether what its processes use stays level. Every fault is a
// scenario that leaves the mailstores' processes alive, so that whatever they lose is lost for the whole run; what clients were told
// is judged after each.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"mailreplica/internal/robustness"
	"mailreplica/internal/robustness/cluster"
	"mailreplica/internal/robustness/report"
	"mailreplica/internal/scenario"
)

const (
	sampleEvery = 5 * time.Second
	diskMB      = 2048
)

var load = robustness.Load{Accounts: 3, Senders: 2, Sessions: 2, Pace: 40 * time.Millisecond, MostRows: 60}

// grows are the figures that grow with the messages.
var grows = []string{"log KB", "data KB", "volume objects", "volume KB", "event log KB", "directory KB"}

func main() {
	bin := flag.String("bin", "bin", "`FOLDER` of the programs")
	minutes := flag.Float64("minutes", 10, "how long")
	engines := flag.String("engines", cluster.Embedded, "embedded or production")
	seed := flag.Uint64("seed", 1, "decides what clients do, and which scenarios are played")
	out := flag.String("out", "soak", "`FOLDER` for the report")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *bin, *engines, *out, *seed, time.Duration(*minutes*float64(time.Minute))); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin, engines, out string, seed uint64, wanted time.Duration) (err error) {
	folder, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	c, err := cluster.Start(ctx, cluster.Options{Bin: bin, Folder: folder, Engines: engines, DiskMB: diskMB})
	defer func() {
		err = errors.Join(err, c.Close())
		if err == nil {
			err = os.RemoveAll(folder)
		} else {
			fmt.Println("logs are kept in", folder)
		}
	}()
	if err != nil {
		return err
	}
	s := &soak{cluster: c, begun: time.Now(), series: map[string]*report.Series{}}
	sampling, enough := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() { s.sample(sampling) })
	err = s.play(ctx, seed, wanted)
	enough()
	all.Wait()
	return errors.Join(err, s.write(out))
}

// soak is one run.
type soak struct {
	cluster *cluster.Cluster
	begun   time.Time

	mu     sync.Mutex
	series map[string]*report.Series
	before int // acknowledged in rounds that are over
	world  *robustness.World
}

// play plays one scenario after another, each with accounts of its own, which are deleted when it is over.
func (s *soak) play(ctx context.Context, seed uint64, wanted time.Duration) error {
	random := rand.New(rand.NewPCG(seed, 2))
	var playable []scenario.Scenario
	for _, one := range scenario.All {
		if survivable(one) && one.Playable(&robustness.World{Cluster: s.cluster}) {
			playable = append(playable, one)
		}
	}
	for round := 1; time.Since(s.begun) < wanted && ctx.Err() == nil; round++ {
		one := playable[random.IntN(len(playable))]
		fmt.Printf("%6.0f s  %s\n", time.Since(s.begun).Seconds(), one.Name)
		if err := s.round(ctx, one, fmt.Sprintf("r%d-", round), seed+uint64(round)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// survivable reports whether the mailstores' processes outlive a scenario.
func survivable(s scenario.Scenario) bool {
	return !slices.ContainsFunc(s.Steps, func(step scenario.Step) bool {
		return (step.Do == scenario.Kill || step.Do == scenario.Stop) && slices.Contains(scenario.Mailstores, step.At)
	})
}

func (s *soak) round(ctx context.Context, one scenario.Scenario, prefix string, seed uint64) error {
	w, err := robustness.NewWorld(ctx, s.cluster, prefix, seed, load)
	if err != nil {
		return err
	}
	defer w.Close()
	s.mu.Lock()
	s.world = w
	s.mu.Unlock()
	if err := scenario.Play(ctx, w, one); err != nil {
		return err
	}
	s.mu.Lock()
	s.before += w.Traffic.Record.Acked()
	s.world = nil
	s.mu.Unlock()
	return w.Delete(ctx)
}

// acked is how many changes were acknowledged.
func (s *soak) acked() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.world == nil {
		return float64(s.before)
	}
	return float64(s.before + s.world.Traffic.Record.Acked())
}

func (s *soak) sample(ctx context.Context) {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		for _, p := range s.cluster.Processes() {
			if pid := p.PID(); pid > 0 {
				if f := s.cluster.Figures(ctx, p); p.PID() == pid { // else some are of one process and some of another
					s.add(p.Name, f, pid)
				}
			}
		}
		s.add("all", s.cluster.Shared(), 0)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *soak) add(process string, f cluster.Figures, life int) {
	acked := s.acked()
	s.mu.Lock()
	defer s.mu.Unlock()
	for figure, value := range f {
		key := process + " " + figure
		if s.series[key] == nil {
			s.series[key] = &report.Series{Process: process, Figure: figure}
			if slices.Contains(grows, figure) {
				s.series[key].Kind = report.Grows
			}
		}
		s.series[key].Add(time.Since(s.begun), value, acked, life)
	}
}

// write writes the report and says whether all is level.
func (s *soak) write(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var all []*report.Series
	for _, key := range slices.Sorted(maps.Keys(s.series)) {
		all = append(all, s.series[key])
	}
	table, err := os.Create(filepath.Join(folder, "soak.md"))
	if err != nil {
		return err
	}
	defer table.Close()
	fmt.Fprintf(table, "%s, %.0f acknowledged changes in %s\n\n", s.cluster.Engines(), s.acked(), time.Since(s.begun).Round(time.Second))
	level, err := report.Table(table, all)
	if err != nil {
		return err
	}
	for name, write := range map[string]func(*os.File) error{
		"soak.csv": func(f *os.File) error { return report.CSV(f, all) },
		"soak.svg": func(f *os.File) error { return report.SVG(f, all) },
	} {
		f, err := os.Create(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		if err := errors.Join(write(f), f.Close()); err != nil {
			return err
		}
	}
	fmt.Println("the report is in", folder)
	if !level {
		return errors.New("not every figure stays level")
	}
	return nil
}
