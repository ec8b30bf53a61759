package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"mailreplica/internal/fault"
)

// nodesMax bounds the keys, values and lists of a file together. The reader compares each key of a map with every other.
const nodesMax = 20_000

// mistakesShown is how many wrong keys and values of a file are told at once.
const mistakesShown = 3

// DecodeYAML reads a file's only document into v. A key that v does not know, or that is there twice, and a second document are
// Invalid: whoever wrote them believes in something that would not be.
func DecodeYAML(data []byte, v any) error {
	documents := yaml.NewDecoder(bytes.NewReader(data))
	var root yaml.Node
	err := documents.Decode(&root)
	if errors.Is(err, io.EOF) {
		return nil // an empty file
	}
	if err != nil {
		return invalid(err)
	}
	if err := documents.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return fault.Wrap(fault.Invalid, err, "more than one document stands in it")
	}
	nodes := 0
	if err := checkNode(&root, &nodes); err != nil {
		return err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(v); err != nil {
		return invalid(err)
	}
	return nil
}

// invalid puts what the reader says, perhaps in many lines, into one, and in words of the file instead of Go's.
func invalid(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var kinds *yaml.TypeError
	if errors.As(err, &kinds) {
		text = strings.Join(kinds.Errors[:min(len(kinds.Errors), mistakesShown)], "; ")
		if more := len(kinds.Errors) - mistakesShown; more > 0 {
			text += fmt.Sprintf("; and %d more", more)
		}
	}
	text = unknownKey.ReplaceAllString(text, "there is no key $1")
	text = wrongValue.ReplaceAllString(text, "the value ${1}is not of the kind that its key takes")
	return fault.New(fault.Invalid, "%s", strings.Join(strings.Fields(text), " "))
}

// What the reader says of a key that the structure does not have, and of a value of another type: both with Go's text of the type.
var (
	unknownKey = regexp.MustCompile(`field (\S+) not found in type (?:struct \{.*?\}|[^\s;]+)`)
	wrongValue = regexp.MustCompile("cannot unmarshal !!\\w+ (`[^`]*` )?into [^\\s;]+")
)

// checkNode refuses keys that are there twice: the reader would find them too, but tells of each pair of them.
func checkNode(n *yaml.Node, nodes *int) error {
	if *nodes++; *nodes > nodesMax {
		return fault.New(fault.Invalid, "more than %d keys, values and lists stand in it", nodesMax)
	}
	seen := map[string]bool{}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if child.Kind != yaml.ScalarNode {
				return fault.New(fault.Invalid, "line %d: a key is no text", child.Line)
			}
			if seen[child.Value] {
				return fault.New(fault.Invalid, "line %d: the key %.100q is there twice", child.Line, child.Value)
			}
			seen[child.Value] = true
		}
		if err := checkNode(child, nodes); err != nil {
			return err
		}
	}
	return nil
}
