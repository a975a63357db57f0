package main

import (
	"strings"
	"testing"
)

// Each table of the benchmarks' page was printed by this program, and not touched since.
func TestDocs(t *testing.T) {
	if err := checkDocs("../../docs/benchmarks.md"); err != nil {
		t.Error(err)
	}
}

func TestUnmade(t *testing.T) {
	var made table
	made.row("work", "s")
	made.row("`find`", "0.25")
	good := made.String()
	bare := good[strings.Index(good, "|"):]
	for name, c := range map[string]struct {
		text string
		want int
	}{
		"made":                 {"# Figures\n\n" + good + "text | with a bar\n\n" + good, 0},
		"at the end":           {strings.TrimRight(good, "\n"), 0}, // of a text without a newline
		"one line short":       {good[:strings.LastIndex(strings.TrimSpace(good), "\n")+1], 1},
		"a figure changed":     {strings.Replace(good, "0.25", "0.24", 1), 1},
		"a row more":           {strings.TrimSpace(good) + "\n| `grep` | 0.1 |\n", 1},
		"no stamp":             {bare, 1},
		"apart from its stamp": {strings.Replace(good, "-->\n", "-->\n\n", 1), 1},
		"indented":             {"* list\n\n  | a |\n  |---|\n", 1},
		"one of two":           {good + bare, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if heads := unmade(c.text); len(heads) != c.want {
				t.Errorf("found %q, not %d tables", heads, c.want)
			}
		})
	}
}
