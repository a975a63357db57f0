package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
)

// table is one in Markdown: a row a line, the first is its head.
type table [][]string

func (t *table) row(cells ...string) { *t = append(*t, cells) }

// String is the table under its stamp.
func (t table) String() string {
	var b strings.Builder
	for i, cells := range t {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(cells)) + "|\n")
		}
	}
	return stamp(b.String()) + "\n" + b.String() + "\n"
}

// stamp is the line over a table. It keeps figures from being typed or mended by hand, not from being forged.
func stamp(text string) string {
	return fmt.Sprintf("<!-- made by make bench, sha256:%x -->", sha256.Sum256([]byte(text)))
}

// unmade returns the first line of each table in a Markdown text that has not the stamp of just this table over it.
func unmade(text string) (heads []string) {
	var before, over, table string // the line before; that over the table, and the table so far
	for line := range strings.Lines(text + "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "|") {
			if table == "" {
				over = before
			}
			table += line
		} else if table != "" {
			if strings.TrimSpace(over) != stamp(table) {
				heads = append(heads, strings.SplitN(table, "\n", 2)[0])
			}
			table = ""
		}
		before = line
	}
	return heads
}

// checkDocs fails if a file has a table that this program did not print.
func checkDocs(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if heads := unmade(string(b)); len(heads) > 0 {
		return fmt.Errorf("%s: not as make bench printed them, so print them anew:\n%s", path, strings.Join(heads, "\n"))
	}
	return nil
}
