package main

import (
	"fmt"
	"slices"
	"strings"
)

const globalHelp = `global flags, before the module:
  --host H     the mailstore to talk to: a name of the configuration's endpoints, or host:port
               (else the first that answers)
  --json       print {"response":{"values":[…]}} for programs, or {"error":{"kind":…,"message":…,"hint":…}}
  --progress   show the progress of an operation while it runs
  --sync       wait until an operation has ended
  --help, -h   show the help of what stands before it
  --version    show the version

exit status: 0 successful, 1 failed, 2 stopped, 3 removed, 4 interrupted
configuration: the file that CARBONIO_CONFIG names, else /etc/carbonio/carbonio.yaml
`

func helpAll() string {
	var b strings.Builder
	b.WriteString("usage: carbonio [global flags] <module> <command> <argument>… [<name> <value>]…\n")
	for _, module := range modules() {
		b.WriteString("\n")
		list(&b, commandsOf(module))
	}
	b.WriteString("\n" + globalHelp)
	b.WriteString("carbonio <module> <command> --help shows what a command takes.\n")
	return b.String()
}

// helpModules names the modules for who mistook one: all commands would push what was wrong out of sight.
func helpModules() string {
	return fmt.Sprintf("modules: %s\ncarbonio help lists their commands.\n", strings.Join(modules(), ", "))
}

func helpModule(commands []*command) string {
	var b strings.Builder
	list(&b, commands)
	fmt.Fprintf(&b, "\ncarbonio %s <command> --help shows what a command takes.\n", commands[0].module)
	return b.String()
}

func list(b *strings.Builder, commands []*command) {
	fmt.Fprintf(b, "%s\n", commands[0].module)
	for _, c := range commands {
		fmt.Fprintf(b, "  %-26s %s\n", c.name, c.summary)
	}
}

func helpCommand(c *command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s.\n", usageOf(c), c.summary)
	if c.text != "" {
		b.WriteString(c.text + "\n")
	}
	var rows [][2]string
	for _, p := range c.positional {
		rows = append(rows, [2]string{p.name, p.help})
	}
	for _, p := range c.options {
		rows = append(rows, [2]string{p.name + " " + p.value, p.help})
	}
	if len(rows) > 0 {
		b.WriteString("\n")
	}
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	for _, r := range rows {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, r[0], r[1])
	}
	if len(c.examples) > 0 {
		b.WriteString("\nexamples:\n")
	}
	for _, e := range c.examples {
		fmt.Fprintf(&b, "  carbonio %s\n", e)
	}
	return b.String()
}

// usageWidth is where the usage of a command is broken into lines.
const usageWidth = 110

func usageOf(c *command) string {
	var words []string
	for _, p := range c.positional {
		if p.optional {
			words = append(words, "["+p.name+"]")
		} else {
			words = append(words, "<"+p.name+">")
		}
	}
	for _, p := range c.options {
		words = append(words, "["+p.name+" "+p.value+"]")
	}
	if c.selects {
		words = append(words, "[all]")
	}
	text := fmt.Sprintf("usage: carbonio %s %s", c.module, c.name)
	column := len(text)
	for _, w := range words {
		if column+1+len(w) > usageWidth {
			text += "\n        "
			column = len("        ")
		}
		text += " " + w
		column += 1 + len(w)
	}
	return text
}

// modules gives the modules in the order of the table.
func modules() []string {
	var names []string
	for _, c := range commands() {
		if !slices.Contains(names, c.module) {
			names = append(names, c.module)
		}
	}
	return names
}

func commandsOf(module string) []*command {
	var found []*command
	for _, c := range commands() {
		if strings.EqualFold(c.module, module) {
			found = append(found, c)
		}
	}
	return found
}

// commands is the table of commands.
func commands() []*command {
	return slices.Concat(configCommands(), provCommands(), mailReplicaCommands(), mailReplicaServiceCommands(), coreCommands(), bucketCommands(),
		volumeCommands(), blobCommands())
}
