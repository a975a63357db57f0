package cyrus

import "errors"

var (
	// ErrVersion: a cyrus.index of a version that is not known. Nothing is guessed.
	ErrVersion = errors.New("unsupported version of cyrus.index")
	// ErrDamaged: the bytes cannot be what they are taken for.
	ErrDamaged = errors.New("damaged")
	// ErrName: a mailbox name, UniqueID or path that a spool cannot hold.
	ErrName = errors.New("impossible mailbox name")
)
