// Package scenario holds what is done to a cluster while clients use it, step by step, as data: the same scenarios run in the
// simulation and on processes. It knows what a cluster is made of, and neither how it is simulated nor how it is run.
package scenario

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Party is a part of a cluster, by the role that it has when a scenario begins.
type Party string

// The parties. Every account of a cluster has its home on one mailstore, and replicas on two others.
const (
	Home      Party = "the home"
	First     Party = "the first replica" // of those that are promoted
	Second    Party = "the second replica"
	Broker    Party = "a broker"
	Brokers   Party = "all brokers"
	Directory Party = "the directory"
	Volume    Party = "the volume"
)

// Mailstores are the parties that are mailstores.
var Mailstores = []Party{Home, First, Second}

// World is a cluster that a scenario is played on. Clients work on it all the time, until Settle. An error means that the
// scenario could not be played, or that a promise was broken.
type World interface {
	// Has reports whether something can be done to a party, or between two.
	Has(step Step) bool
	// Work waits until so many more changes are acknowledged.
	Work(ctx context.Context, changes int) error
	// Pass lets time pass.
	Pass(ctx context.Context, d time.Duration) error
	// Do carries out what is none of the above. It returns when the fault is there; a promotion when it has ended.
	Do(ctx context.Context, step Step) error
	// Settle makes everything whole, waits until all is as it was wished, and judges what clients were told.
	Settle(ctx context.Context) error
}

// Action is what a step does.
type Action string

// The actions. What fails or is away comes back with its opposite, or when all is settled.
const (
	Work  Action = "work"  // until Changes more changes are acknowledged
	Pass  Action = "pass"  // time, For
	Kill  Action = "kill"  // kill -9
	Start Action = "start" // what was killed
	Stop  Action = "stop"  // in good order

	Freeze Action = "freeze" // its process stands still; connections stay
	Thaw   Action = "thaw"

	Cut     Action = "cut"     // no byte passes between At and To, in either direction; nobody is told
	Silence Action = "silence" // no byte passes from At to To
	Slow    Action = "slow"    // every byte from At to To takes For longer
	Heal    Action = "heal"    // all of these

	Fill  Action = "fill"  // its disk
	Empty Action = "empty" // what filled it

	Promote    Action = "promote"     // At, of all accounts; it has to succeed
	TryPromote Action = "try promote" // At; whether it succeeds is open, and nobody waits for it

	Replicate Action = "replicate" // wish for replicas on At
	Withdraw  Action = "withdraw"  // wish for none on At

	Pause  Action = "pause"
	Resume Action = "resume"
)

// Step is one thing that is done.
type Step struct {
	Do      Action
	At, To  Party
	Changes int
	For     time.Duration
}

// String says it in words.
func (s Step) String() string {
	text := string(s.Do)
	if s.At != "" {
		text += " " + string(s.At)
	}
	if s.To != "" {
		text += " and " + string(s.To)
	}
	if s.Changes > 0 {
		text += fmt.Sprintf(" %d", s.Changes)
	}
	if s.For > 0 {
		text += " " + s.For.String()
	}
	return text
}

// Scenario is a number of steps, and what it is for.
type Scenario struct {
	Name  string
	Steps []Step
}

// Playable reports whether a world has all that the scenario needs.
func (s Scenario) Playable(w World) bool {
	return !slices.ContainsFunc(s.Steps, func(step Step) bool { return step.Do != Work && step.Do != Pass && !w.Has(step) })
}

// Play plays a scenario on a cluster that is whole, and leaves it whole.
func Play(ctx context.Context, w World, s Scenario) error {
	for i, step := range s.Steps {
		var err error
		switch step.Do {
		case Work:
			err = w.Work(ctx, step.Changes)
		case Pass:
			err = w.Pass(ctx, step.For)
		default:
			err = w.Do(ctx, step)
		}
		if err != nil {
			return fmt.Errorf("%s, step %d, %s: %w", s.Name, i+1, step, err)
		}
	}
	if err := w.Settle(ctx); err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	return nil
}

// Find is the scenario of a name.
func Find(name string) (Scenario, bool) {
	i := slices.IndexFunc(All, func(s Scenario) bool { return s.Name == name })
	if i < 0 {
		return Scenario{}, false
	}
	return All[i], true
}
