// Package suggest finds what was perhaps meant by a name that is not there.
package suggest

import "strings"

// Closest returns the one of names that was perhaps meant, empty if none is near: two letters differ at most, and no more than half.
func Closest(name string, names []string) string {
	best, least := "", min(2, len(name)/2)+1
	for _, n := range names {
		if d := distance(strings.ToLower(name), strings.ToLower(n)); d < least {
			best, least = n, d
		}
	}
	return best
}

// Clause is the end of an error that offers a name; empty if there is none.
func Clause(name string) string {
	if name == "" {
		return ""
	}
	return "; did you mean " + name + "?"
}

// distance is how many bytes must be changed, put in or taken out to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
