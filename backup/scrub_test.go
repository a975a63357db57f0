package backup

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"
)

// TestScrubBesideRuns: what runs append meanwhile is no damage, whenever it is looked at.
func TestScrubBesideRuns(t *testing.T) {
	m := newModel(t, filepath.Join(t.TempDir(), "store"))
	u := m.user(t)
	done := make(chan struct{})
	var g errgroup.Group
	g.Go(func() error {
		for n := 0; ; n++ {
			damaged, err := Scrub(t.Context(), u, nil)
			if damaged || err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("scrub %d: %v, %v", n, damaged, err)
			}
			select {
			case <-done:
				return nil // the last one may be from before the first run, on a busy machine
			default:
			}
		}
	})
	for range 20 {
		m.server.add(m.server.boxes[0], nil, m.server.newBody())
		m.run(t)
	}
	close(done)
	must(t, g.Wait())
	mustVerify(t, u)
}
