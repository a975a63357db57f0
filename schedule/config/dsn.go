package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
)

// DSN says where a database is, and with which password. It does not print.
type DSN struct{ text, file, env string }

func (d DSN) String() string       { return "(secret)" }
func (d DSN) GoString() string     { return d.String() }
func (d DSN) LogValue() slog.Value { return slog.StringValue(d.String()) }

// Secret reads it, each time anew: a password may change. The error does not show it.
func (d DSN) Secret() (string, error) {
	switch {
	case d.file != "":
		b, err := os.ReadFile(d.file)
		if err != nil {
			return "", err
		}
		text := strings.TrimSpace(string(b))
		if text == "" {
			return "", fmt.Errorf("%s: it is empty", d.file)
		}
		return text, nil
	case d.env != "":
		text := os.Getenv(d.env)
		if text == "" {
			return "", fmt.Errorf("dsn_env: the environment has no %s", d.env)
		}
		return text, nil
	case d.text == "":
		return "", errors.New("dsn: it is empty")
	}
	return d.text, nil
}
