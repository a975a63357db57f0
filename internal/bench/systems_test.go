package main

import (
	"slices"
	"testing"
)

// Whatever is picked stands beside the spool, our mount and the floor, in the order of the tables.
func TestChosen(t *testing.T) {
	for _, c := range []struct{ only, want []string }{
		{[]string{"none"}, []string{"spool", "backupfs", "floor"}},
		{[]string{"tar czf", "spool"}, []string{"spool", "backupfs", "floor", "tar czf"}},
	} {
		var names []string
		for _, s := range chosen(c.only) {
			names = append(names, s.name)
		}
		if !slices.Equal(names, c.want) {
			t.Errorf("of %q are chosen %q, not %q", c.only, names, c.want)
		}
	}
}
