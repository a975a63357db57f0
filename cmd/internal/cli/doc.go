// Package cli is what the commands share towards the person at the terminal: exit codes, errors and their hints, names that
// cannot harm a terminal, a progress line. It alone knows exit codes; the packages below know errors.
package cli
