package testenv

import (
	"flag"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// Check is rapid.Check with the draws of Seed: the same ones each time, others under Torture. The flag -rapid.seed goes before.
func Check(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	if f := flag.Lookup("rapid.seed"); f.Value.String() == f.DefValue {
		if err := flag.Set(f.Name, strconv.FormatUint(Seed(t), 10)); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, property)
}
