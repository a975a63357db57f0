package remote

import (
	"testing"
	"time"

	"backupfs/internal/cyruslab"
	"backupfs/source"
	"backupfs/source/sourcetest"
)

// TestLoad: no snapshot that is taken while writers are at work lists a message that was not delivered: over TLS, for as long as there is
// time, and as from backupcyrusd. How long an APPEND waited at worst is told, beside the same load at the same time without a backup.
func TestLoad(t *testing.T) {
	var secured, alone time.Duration
	t.Run("At once", func(t *testing.T) {
		for _, c := range []struct {
			name    string
			agent   func(testing.TB, source.LocalOptions) Dial // nil: no backup
			plain   bool
			time    func(*testing.T) time.Duration
			slowest *time.Duration
		}{
			{name: "NoBackup", time: sourcetest.Stress, slowest: &alone},
			{name: "TLS", agent: mustSecureAgent, time: sourcetest.Stress, slowest: &secured},
			{name: "Plain", agent: mustAgent, plain: true},
		} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				l := sourcetest.NewLoad(t, cyruslab.Options{})
				l.Holding = sourcetest.Holding
				if c.time != nil {
					l.Time = c.time(t)
				}
				if c.agent == nil {
					l.Run(t, nil)
				} else {
					dial := c.agent(t, source.LocalOptions{ConfigPath: l.Lab.Conf, MaxPins: 64, MaxListAge: 100 * time.Millisecond, LockTimeout: sourcetest.Patience})
					l.Run(t, mustOpen(t, dial, Options{Plain: c.plain}))
				}
				if len(l.Bad) > 0 {
					t.Errorf("%d snapshots, %d bad: %v", l.Taken, len(l.Bad), l.Bad)
				}
				if c.slowest != nil {
					*c.slowest = l.Slowest()
				}
			})
		}
	})
	t.Logf("an APPEND waited %v at worst, and %v without a backup", secured, alone)
}
