package config

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"mailreplica/internal/fault"
)

// nodesMax bounds the keys, values and lists of a file together. The reader compares each key of a map with every other.
const nodesMax = 20_000

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

// invalid puts what the reader says, perhaps in many lines, into one.
func invalid(err error) error {
	return fault.Wrap(fault.Invalid, err, "%s", strings.Join(strings.Fields(err.Error()), " "))
}

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
