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

// LockTimeout is what the sources under test must be opened with. MaxPins should be small: 3 makes most fetches take several
// rounds.
const LockTimeout = 300 * time.Millisecond

// Run runs all cases on a server. Each has users of its own and opens its own source.
func Run(t *testing.T, lab *cyruslab.Lab, open func(*testing.T) source.Source) {
	conf, err := cyrus.LoadConfig(lab.Conf)
	if err != nil {
		t.Fatal(err)
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
		{"FingerprintWithinASecond", (*suite).fingerprintWithinASecond},
		{"UserFiles", (*suite).userFiles},
		{"Concurrent", (*suite).concurrent},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := open(t)
			t.Cleanup(func() {
				if err := src.Close(); err != nil {
					t.Error(err)
				}
			})
			c.run(&suite{T: t, lab: lab, conf: conf, src: src, prefix: fmt.Sprintf("u%d", time.Now().UnixNano()%1e9)})
		})
	}
}

// suite is one case.
type suite struct {
	*testing.T
	lab    *cyruslab.Lab
	conf   *cyrus.Config
	src    source.Source
	prefix string // of this case's users
}
