package source_test

import (
	"testing"
	"time"

	"backupfs/internal/cyruslab"
	"backupfs/source"
	"backupfs/source/sourcetest"
)

// TestLoad: while writers are at work, no snapshot lists a message that was not delivered. The same without locks does show such
// snapshots, or the test could not fail. How long writers wait, beside a backup and without one, is told.
func TestLoad(t *testing.T) {
	for _, c := range []struct {
		name             string
		backup           bool
		legacy, unlocked bool
		holding          time.Duration
	}{
		{name: "NoBackup"},
		{name: "Backup", backup: true},
		{name: "Slow", backup: true, holding: sourcetest.Holding},
		{name: "SlowByName", backup: true, holding: sourcetest.Holding, legacy: true},
		{name: "SlowWithoutLocks", backup: true, holding: sourcetest.Holding, unlocked: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := sourcetest.NewLoad(t, cyruslab.Options{LegacyDirs: c.legacy})
			l.Holding, l.SomeBad = c.holding, c.unlocked
			if !c.backup {
				l.Run(t, nil)
				return
			}
			local, err := source.OpenLocal(t.Context(), source.LocalOptions{ConfigPath: l.Lab.Conf, MaxPins: 64, MaxListAge: 100 * time.Millisecond, LockTimeout: sourcetest.Patience})
			cyruslab.Must(t, err)
			if c.unlocked {
				source.Unlock(local)
			}
			l.Run(t, local)
			if !c.unlocked && len(l.Bad) > 0 {
				t.Errorf("%d bad snapshots: %v", len(l.Bad), l.Bad)
			}
		})
	}
}
