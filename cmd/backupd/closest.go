package main

import (
	"strings"

	"backupfs/internal/suggest"
)

// closest is a clause that offers the user who was perhaps meant, empty if none is near: two letters differ, the domain was left
// out or need not be there, or it is the name of the INBOX.
func closest(name string, names []string) string {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "user/"), "user.")
	for _, n := range names {
		if strings.HasPrefix(n, name+"@") || strings.HasPrefix(name, n+"@") {
			return suggest.Clause(n)
		}
	}
	return suggest.Clause(suggest.Closest(name, names))
}
