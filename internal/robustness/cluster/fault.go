package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"

	"mailreplica/internal/config"
	"mailreplica/internal/scenario"
)

func writeYAML(path string, c config.Config) error {
	text, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// Store is the mailstore that plays a party, nil if none does: every account's home is the first one when a scenario begins.
func (c *Cluster) Store(p scenario.Party) *Mailstore {
	if i := slices.Index(scenario.Mailstores, p); i >= 0 {
		return c.Stores[i]
	}
	return nil
}

// Has reports whether a fault can be made.
func (c *Cluster) Has(step scenario.Step) bool {
	if m := c.Store(step.At); m != nil && (step.Do == scenario.Fill || step.Do == scenario.Empty) {
		return m.disk != nil
	}
	return c.engines.has(step)
}

// Do makes a fault, or ends one.
func (c *Cluster) Do(ctx context.Context, step scenario.Step) error {
	switch step.Do {
	case scenario.Cut:
		c.network.Silence(c.name(step.At), c.name(step.To))
		c.network.Silence(c.name(step.To), c.name(step.At))
		return nil
	case scenario.Silence:
		c.network.Silence(c.name(step.At), c.name(step.To))
		return nil
	case scenario.Slow:
		c.network.Slow(c.name(step.At), c.name(step.To), step.For)
		return nil
	case scenario.Heal:
		c.network.Heal()
		return nil
	}
	m := c.Store(step.At)
	if m == nil {
		return c.engines.do(ctx, step)
	}
	switch step.Do {
	case scenario.Kill:
		m.Kill()
		return nil
	case scenario.Stop:
		return m.Process.Stop()
	case scenario.Start:
		return m.Begin() // it may have to wait for something that is away, too
	case scenario.Freeze:
		return m.Freeze()
	case scenario.Thaw:
		return m.Thaw()
	case scenario.Fill:
		return m.disk.Fill()
	case scenario.Empty:
		return m.disk.Empty()
	}
	return fmt.Errorf("a mailstore cannot %s", step)
}

// name is a party's on the network.
func (c *Cluster) name(p scenario.Party) string {
	if m := c.Store(p); m != nil {
		return m.Process.Name
	}
	return map[scenario.Party]string{
		scenario.Broker: brokersName, scenario.Brokers: brokersName, scenario.Directory: directoryName, scenario.Volume: volumeName,
	}[p]
}

// Mend ends every fault and waits until every process is ready.
func (c *Cluster) Mend(ctx context.Context) error {
	c.network.Heal()
	problems := []error{c.engines.mend(ctx)}
	for _, m := range c.Stores {
		if m.disk != nil {
			problems = append(problems, m.disk.Empty())
		}
		problems = append(problems, m.Thaw(), m.Begin())
	}
	for _, m := range c.Stores {
		problems = append(problems, m.Ready())
	}
	return errors.Join(problems...)
}
