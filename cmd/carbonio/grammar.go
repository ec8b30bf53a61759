package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
)

// command is a row of the table of commands.
type command struct {
	module, name string
	summary      string
	text         string      // more for the help
	positional   []parameter // in order; those that may be left out come last
	options      []parameter
	skips        []string          // words that may stand before the arguments, and say nothing
	selects      bool              // takes the word all, and a list of accounts without the word accounts
	words        bool              // takes its positional arguments as <name> <value>, too
	refused      map[string]string // names that look like options, and why they are none
	examples     []string
	run          func(ctx context.Context, s *session) error
}

// parameter is an argument of a command.
type parameter struct {
	name     string
	also     string // another name for it
	value    string // what stands for the value in the help of an option
	help     string
	optional bool // of a positional argument
}

// flags are the global flags.
type flags struct {
	host                 string
	json, progress, sync bool
}

// invocation is a command line that was understood.
type invocation struct {
	flags
	help    string // if not empty, the help is all that was asked for
	command *command
	values  map[string]string // by the parameter's name
	all     bool              // the word all
}

// usageError is a command line that was not understood.
type usageError struct{ problem, help string }

func (e *usageError) Error() string { return e.problem }

// parse reads a command line:
//
//	carbonio [global flags] <module> <command> <positional>… [<name> <value>]…
//
// Module, command and names are taken in any case. --help anywhere asks for the help of what stands before it.
func parse(args []string) (*invocation, error) {
	in := &invocation{values: map[string]string{}}
	rest, wantsHelp := withoutHelp(args)
	if len(rest) == 1 && (rest[0] == "version" || rest[0] == "--version") {
		in.help = "carbonio " + version + "\n"
		return in, nil
	}
	for len(rest) > 0 && strings.HasPrefix(rest[0], "-") {
		var err error
		if rest, err = in.flag(rest); err != nil {
			return nil, &usageError{fault.Message(err), globalHelp}
		}
	}
	if len(rest) > 0 && strings.EqualFold(rest[0], "help") {
		rest, wantsHelp = rest[1:], true
	}
	if len(rest) == 0 {
		if wantsHelp {
			in.help = helpAll()
			return in, nil
		}
		return nil, &usageError{"the module and the command are missing", helpAll()}
	}
	commands := commandsOf(rest[0])
	if len(commands) == 0 {
		return nil, &usageError{fmt.Sprintf("there is no module %q", rest[0]), helpModules()}
	}
	if len(rest) == 1 || strings.EqualFold(rest[1], "help") {
		if wantsHelp || len(rest) > 1 {
			in.help = helpModule(commands)
			return in, nil
		}
		return nil, &usageError{"the command is missing", helpModule(commands)}
	}
	args, kinds := in.find(commands, rest[1:])
	switch {
	case in.command == nil && len(kinds) == 0:
		return nil, &usageError{fmt.Sprintf("%s has no command %q", commands[0].module, rest[1]), helpModule(commands)}
	case in.command == nil && (wantsHelp || len(args) == 1 && strings.EqualFold(args[0], "help")):
		in.help = helpModule(kinds)
		return in, nil
	case in.command == nil:
		return nil, &usageError{noKind(kinds, args), helpModule(kinds)}
	case wantsHelp || len(args) == 1 && strings.EqualFold(args[0], "help"):
		in.help = helpCommand(in.command)
		return in, nil
	}
	if len(args) > 0 && slices.ContainsFunc(in.command.skips, func(word string) bool { return strings.EqualFold(word, args[0]) }) {
		args = args[1:]
	}
	err := in.arguments(args)
	var refused errRefused
	if errors.As(err, &refused) {
		return nil, refused.error
	}
	if err != nil {
		return nil, &usageError{fault.Message(err), helpCommand(in.command)}
	}
	return in, nil
}

// find finds the command, whose name is one word or two: doCreateBucket S3 and doCreateBucket MinIO take different arguments.
// It gives what stands behind the name, and if the second word is none that there is, the commands that begin with the first.
func (in *invocation) find(commands []*command, words []string) (args []string, kinds []*command) {
	var one *command
	for _, c := range commands {
		verb, kind, two := strings.Cut(c.name, " ")
		switch {
		case !strings.EqualFold(verb, words[0]):
		case !two:
			one = c
		case len(words) > 1 && strings.EqualFold(kind, words[1]):
			in.command = c
			return words[2:], nil
		default:
			kinds = append(kinds, c)
		}
	}
	in.command = one
	return words[1:], kinds
}

// noKind says which second words there are.
func noKind(kinds []*command, args []string) string {
	verb, _, _ := strings.Cut(kinds[0].name, " ")
	var names []string
	for _, c := range kinds {
		_, kind, _ := strings.Cut(c.name, " ")
		names = append(names, kind)
	}
	if len(args) == 0 {
		return fmt.Sprintf("%s of what? There is %s", verb, strings.Join(names, ", "))
	}
	return fmt.Sprintf("%s knows no %q; there is %s", verb, args[0], strings.Join(names, ", "))
}

// errRefused is understood, but is not what the command is for; its help would not help.
type errRefused struct{ error }

func withoutHelp(args []string) (rest []string, found bool) {
	for _, arg := range args {
		if arg == "--help" || arg == "-h" {
			found = true
			continue
		}
		rest = append(rest, arg)
	}
	return rest, found
}

// isFlag says whether a word is a global flag. It is one wherever it stands: --sync behind a name must not become a password.
func isFlag(word string) bool {
	name, _, hasValue := strings.Cut(word, "=")
	return slices.Contains([]string{"--json", "--progress", "--sync"}, word) || name == "--host" && (hasValue || word == name)
}

// flag reads the global flag at the front and gives what is behind it.
func (in *invocation) flag(args []string) ([]string, error) {
	name, value, hasValue := strings.Cut(args[0], "=")
	rest := args[1:]
	switches := map[string]*bool{"--json": &in.json, "--progress": &in.progress, "--sync": &in.sync}
	if on := switches[name]; on != nil && !hasValue {
		*on = true
		return rest, nil
	}
	if name != "--host" {
		return nil, fault.New(fault.Invalid, "there is no global flag %q", args[0])
	}
	if !hasValue {
		if len(rest) == 0 {
			return nil, fault.New(fault.Invalid, "--host needs the name of a mailstore")
		}
		value, rest = rest[0], rest[1:]
	}
	if value == "" {
		return nil, fault.New(fault.Invalid, "--host needs the name of a mailstore")
	}
	in.host = value
	return rest, nil
}

// arguments reads what stands behind the command.
func (in *invocation) arguments(args []string) error {
	c := in.command
	for position := 0; len(args) > 0; {
		arg := args[0]
		positional := position < len(c.positional) && !isFlag(arg) && !(c.words && (strings.HasPrefix(arg, "--") || in.named(arg) != ""))
		switch {
		case positional && in.has(c.positional[position].name):
			position++ // given as a word before
		case positional:
			in.values[c.positional[position].name] = arg
			position++
			args = args[1:]
		case strings.HasPrefix(arg, "--"):
			rest, err := in.flag(args)
			if err != nil {
				return err
			}
			args = rest
		default:
			rest, err := in.option(args)
			if err != nil {
				return err
			}
			args = rest
		}
	}
	for _, p := range c.positional {
		if !p.optional && !in.has(p.name) {
			return fault.New(fault.Invalid, "<%s> is missing", p.name)
		}
	}
	return nil
}

func (in *invocation) has(name string) bool {
	_, given := in.values[name]
	return given
}

// named gives the parameter that a word names, or "".
func (in *invocation) named(word string) string {
	candidates := in.command.options
	if in.command.words {
		candidates = append(candidates[:len(candidates):len(candidates)], in.command.positional...)
	}
	for _, p := range candidates {
		if plain(p.name) == plain(word) || p.also != "" && plain(p.also) == plain(word) {
			return p.name
		}
	}
	if in.command.selects && strings.EqualFold(word, "all") {
		return "all"
	}
	return ""
}

// plain is how names are compared: input_file, inputFile and INPUT_FILE are one.
func plain(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// option reads a name and its value, the word all, or a bare list of accounts.
func (in *invocation) option(args []string) ([]string, error) {
	word := args[0]
	name := in.named(word)
	switch {
	case name == "all":
		in.all = true
		return args[1:], nil
	case name == "" && in.command.selects && looksLikeAccounts(word):
		name, args = "accounts", append([]string{"accounts"}, args...)
	case name == "":
		for refused, why := range in.command.refused {
			if strings.EqualFold(refused, word) {
				return nil, errRefused{fault.New(fault.Invalid, "%s cannot be changed here", refused).WithHint("%s", why)}
			}
		}
		return nil, fault.New(fault.Invalid, "%s does not take %q", in.command.name, word)
	}
	if len(args) < 2 {
		return nil, fault.New(fault.Invalid, "%s needs a value", name)
	}
	if in.has(name) {
		return nil, fault.New(fault.Invalid, "%s is given twice", name)
	}
	if strings.TrimSpace(args[1]) == "" {
		// In a script that is a variable which was never set: it must not mean "any".
		return nil, fault.New(fault.Invalid, "the value of %s is empty; leave %s out, or give it one", name, name)
	}
	if name == "accounts" && strings.EqualFold(args[1], "all") {
		in.all = true
		return args[2:], nil
	}
	in.values[name] = args[1]
	return args[2:], nil
}

func looksLikeAccounts(word string) bool {
	_, err := account.ParseID(word)
	return err == nil || strings.ContainsAny(word, "@,*?")
}
