// Package sourcetest is the conformance suite of a source.Source: what each implementation must do, on a live server.
package sourcetest

import (
	"fmt"
	"testing"
	"time"

	"backupfs/cyrus"
	"backupfs/internal/cyruslab"
	"backupfs/source"
)

// LockTimeout is for sources that are to find a lock taken, Patience for all others: on a busy machine a server may keep one for long.
const (
	LockTimeout = 300 * time.Millisecond
	Patience    = 3 * time.Minute
)

// Traits are what of a source is not as of a local spool. Zero values are those of one.
type Traits struct {
	Settled time.Duration // after which a fingerprint counts; default 50 ms
	Release time.Duration // locks and files are given back so long after a call ended early, at most; default: at once
	ByName  bool          // a mailbox that has another name may be gone, though it lies where it lay

	// Plain: as Cyrus's own backupcyrusd tells it. There are no partitions and no shared mailboxes, none of a name that the
	// namespace lacks, and little is told of why something cannot be had.
	Plain bool
}

// Run runs all cases on a server. Each has users of its own and opens its own source. MaxPins should be small: 3 makes most fetches take
// several rounds.
func Run(t *testing.T, lab *cyruslab.Lab, traits Traits, open func(t *testing.T, lockTimeout time.Duration) source.Source) {
	conf, err := cyrus.LoadConfig(lab.Conf)
	if err != nil {
		t.Fatal(err)
	}
	local, err := source.OpenLocal(t.Context(), source.LocalOptions{ConfigPath: lab.Conf})
	if err != nil {
		t.Fatal(err)
	}
	if traits.Settled == 0 {
		traits.Settled = settled
	}
	for _, c := range []struct {
		name string
		run  func(*suite)
	}{
		{"Lists", (*suite).lists},
		{"Snapshots", (*suite).snapshots},
		{"Want", (*suite).want},
		{"Expunged", (*suite).expunged},
		{"Archived", (*suite).archived},
		{"Missing", (*suite).missing},
		{"ReadError", (*suite).readError},
		{"Busy", (*suite).busy},
		{"Gone", (*suite).gone},
		{"DeliverError", (*suite).deliverError},
		{"Cancel", (*suite).cancel},
		{"NoLockWhileDelivering", (*suite).noLockWhileDelivering},
		{"Fingerprint", (*suite).fingerprint},
		{"Metadata", (*suite).metadata},
		{"MetadataUnknown", (*suite).metadataUnknown},
		{"FingerprintWithinASecond", (*suite).fingerprintWithinASecond},
		{"UserFiles", (*suite).userFiles},
		{"Concurrent", (*suite).concurrent},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &suite{T: t, lab: lab, conf: conf, local: local, traits: traits, prefix: fmt.Sprintf("u%d", time.Now().UnixNano()%1e9)}
			s.open = func(lockTimeout time.Duration) source.Source {
				src := open(t, lockTimeout)
				t.Cleanup(func() {
					if err := src.Close(); err != nil {
						t.Error(err)
					}
				})
				return src
			}
			s.src = s.open(Patience)
			c.run(s)
		})
	}
}

// suite is one case.
type suite struct {
	*testing.T
	lab    *cyruslab.Lab
	conf   *cyrus.Config
	local  *source.Local // where things lie
	traits Traits
	src    source.Source
	open   func(lockTimeout time.Duration) source.Source // another one
	prefix string                                        // of this case's users
}
