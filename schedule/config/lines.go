package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"backupfs/internal/suggest"
)

// linesOf finds the line of each key and table of a file, as far as it can be parsed.
func linesOf(b []byte) map[string]int {
	lines := map[string]int{}
	var p unstable.Parser
	p.Reset(b)
	var table []string
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind != unstable.KeyValue {
			table = nil
		}
		note(&p, lines, table, e)
		if e.Kind == unstable.Table {
			table = keyOf(e)
		}
	}
	return lines
}

// note notes the line of a key, and of those in an inline table behind it.
func note(p *unstable.Parser, lines map[string]int, above []string, e *unstable.Node) {
	if e.Kind != unstable.KeyValue && e.Kind != unstable.Table {
		return
	}
	key := append(above[:len(above):len(above)], keyOf(e)...)
	parts := e.Key()
	for parts.Next() {
		lines[strings.Join(key, ".")] = p.Shape(parts.Node().Raw).Start.Line
	}
	if e.Kind == unstable.KeyValue && e.Value().Kind == unstable.InlineTable {
		inner := e.Value().Children()
		for inner.Next() {
			note(p, lines, key, inner.Node())
		}
	}
}

func keyOf(e *unstable.Node) (key []string) {
	parts := e.Key()
	for parts.Next() {
		key = append(key, string(parts.Node().Data))
	}
	return key
}

// decodeError notes what keeps a file from being decoded, and says whether that is only keys which are too many. Of what the decoder shows, only its message is taken: the line itself may
// have a password in it.
func (r *reader) decodeError(err error) (decoded bool) {
	var strict *toml.StrictMissingError
	var decode *toml.DecodeError
	switch {
	case errors.As(err, &strict):
		for _, e := range strict.Errors {
			line, _ := e.Position()
			r.wrong = append(r.wrong, wrong{line, unknownKey(e.Key())})
		}
		return true
	case errors.As(err, &decode):
		line, _ := decode.Position()
		r.wrong = append(r.wrong, wrong{line, strings.Join(decode.Key(), ".") + ": " + r.plainly(decode)})
	default:
		r.wrong = append(r.wrong, wrong{0, err.Error()})
	}
	return false
}

// plainly says what is wrong without Go's names of types.
func (r *reader) plainly(e *toml.DecodeError) string {
	key := e.Key()
	if t, _ := fieldType(reflect.TypeFor[file](), key); t != nil && len(key) > 0 && strings.Contains(e.Error(), "cannot") {
		return "it must be " + kindOf(t)
	}
	return strings.TrimPrefix(e.Error(), "toml: ")
}

// fieldType is the type of what a key stands for, or as far as it is known, that of the table which lacks the rest.
func fieldType(t reflect.Type, key []string) (found, lacks reflect.Type) {
	for _, part := range key {
		switch t.Kind() {
		case reflect.Map:
			t = t.Elem()
		case reflect.Struct:
			fields := fieldsOf(t)
			if fields[part] == nil {
				return nil, t
			}
			t = fields[part]
		default:
			return nil, nil
		}
	}
	return t, nil
}

func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		fields[t.Field(i).Tag.Get("toml")] = t.Field(i).Type
	}
	return fields
}

func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.String:
		return `a text in quotes: "…"`
	case reflect.Slice:
		return `a list: ["…"]`
	}
	return "a table: […]"
}

// unknownKey offers the key that was perhaps meant, of its table or of another.
func unknownKey(key []string) string {
	last := len(key) - 1
	text := fmt.Sprintf("%s: there is no such key", strings.Join(key, "."))
	_, table := fieldType(reflect.TypeFor[file](), key)
	if table == nil {
		return text
	}
	for i := range key { // the unknown one need not be the last
		if t, _ := fieldType(reflect.TypeFor[file](), key[:i+1]); t == nil {
			last = i
			break
		}
	}
	best := suggest.Closest(key[last], slices.Sorted(maps.Keys(fieldsOf(table))))
	if best == "" {
		root := reflect.TypeFor[file]()
		for i := range root.NumField() {
			if t := root.Field(i).Type; t.Kind() == reflect.Struct && fieldsOf(t)[key[last]] != nil {
				best = "[" + root.Field(i).Tag.Get("toml") + "] " + key[last]
			}
		}
	}
	return text + suggest.Clause(best)
}
