package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
)

const stepsMax = 500 // of one walk

func main() {
	budget := flag.Duration("for", 5*time.Second, "time for the system as built, and for each break")
	only := flag.String("only", "", "regular expression for the names of breaks; the system as built is walked always")
	seed := flag.Uint64("seed", 1, "the first walk")
	show := flag.Bool("show", false, "show the shortest history that was found")
	single := flag.Uint64("walk", 0, "show this walk of the system as built, and nothing else")
	flag.Parse()
	if *single != 0 {
		w := walk(asBuilt(), *single, true)
		fmt.Println(strings.Join(w.trace, "\n"))
		return
	}
	names, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	wrong := !report("as built", asBuilt(), *seed, *budget, *show, false)
	for _, b := range breaks {
		if *only == "" && *budget > time.Minute || !names.MatchString(b.name) {
			continue
		}
		r := asBuilt()
		b.change(&r)
		wrong = !report(b.name, r, *seed, *budget, *show, true) && b.quiet == "" || wrong
	}
	if wrong {
		os.Exit(1)
	}
}

// report walks for some time, and reports whether it came out as it was to.
func report(name string, r rules, first uint64, budget time.Duration, show, wanted bool) bool {
	var shortest *world
	walks, bad, promoted, answered := 0, 0, 0, 0
	for begun := time.Now(); time.Since(begun) < budget; walks++ {
		w := walk(r, first+uint64(walks), false)
		promoted += w.promoted
		for _, all := range w.acks {
			answered += len(all)
		}
		if w.violation == "" {
			continue
		}
		if bad++; shortest == nil || w.events < shortest.events {
			shortest = w
		}
	}
	fmt.Printf("%-45s %7d walks, %7d promotions, %8d answers: %d broken", name, walks, promoted, answered, bad)
	if shortest != nil {
		fmt.Printf(", the first %s", shortest.violation)
	}
	fmt.Println()
	if show && shortest != nil {
		shortest = walk(r, shortest.seed, true)
		fmt.Println("  " + strings.Join(shortest.trace, "\n  "))
	}
	return (bad > 0) == wanted
}

// walk is one walk, to its end or to what is broken.
func walk(r rules, seed uint64, told bool) *world {
	w := newWorld(r, seed, told)
	w.seed = seed
	w.say("walk %d", seed)
	w.pauses, w.trims = r.pauses && w.one(2), r.trims && w.one(4)
	w.disks = r.disks && !w.pauses // with its disk a paused home loses what it has journalled
	aimed := w.random.IntN(aimsMax + 1)
	for n := 0; n < stepsMax && w.violation == ""; n++ {
		if w.random.IntN(stepsMax) < aimed {
			w.aim()
		} else {
			w.step()
		}
		w.look()
	}
	if w.violation == "" {
		w.finish()
	}
	return w
}
