package indextest

import (
	"testing"

	"pgregory.net/rapid"
)

// Rapid lets helpers for a testing.TB report to rapid, so that it can shrink what failed.
func Rapid(t testing.TB, r *rapid.T) testing.TB { return rapidTB{t, r} }

type rapidTB struct {
	testing.TB
	r *rapid.T
}

func (t rapidTB) Error(args ...any)            { t.r.Error(args...) }
func (t rapidTB) Errorf(s string, args ...any) { t.r.Errorf(s, args...) }
func (t rapidTB) Fatal(args ...any)            { t.r.Fatal(args...) }
func (t rapidTB) Fatalf(s string, args ...any) { t.r.Fatalf(s, args...) }
func (t rapidTB) Failed() bool                 { return t.r.Failed() }
func (t rapidTB) Cleanup(f func())             { t.r.Cleanup(f) }
