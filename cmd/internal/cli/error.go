package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// usageError is a mistake in the call.
type usageError struct{ msg string }

func (e usageError) Error() string        { return e.msg }
func (e usageError) Is(target error) bool { return target == ErrUsage }

// Usagef makes an error of wrong usage.
func Usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// hinted is an error with what may be typed against it.
type hinted struct {
	error
	hint string
}

func (e hinted) Unwrap() error { return e.error }

// WithHint says what to type against err; nil stays nil. A hint that err has already stays: who gave it was nearer.
func WithHint(err error, format string, args ...any) error {
	var h hinted
	if err == nil || errors.As(err, &h) {
		return err
	}
	return hinted{err, fmt.Sprintf(format, args...)}
}

// Report writes an error the way a user sees it: "program: error", and at most one line "hint: …". With asJSON it is one object.
func Report(w io.Writer, program string, err error, asJSON bool) {
	var h hinted
	errors.As(err, &h)
	if asJSON {
		_ = json.NewEncoder(w).Encode(struct {
			Error string `json:"error"`
			Code  int    `json:"code"`
			Hint  string `json:"hint,omitempty"`
		}{err.Error(), Code(err), h.hint})
		return
	}
	fmt.Fprintf(w, "%s: %s\n", program, Clean(err.Error()))
	if h.hint != "" {
		fmt.Fprintf(w, "hint: %s\n", Clean(h.hint))
	}
}
