package source

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

// slow takes a second for each read.
type slow struct{}

func (slow) ReadAt(p []byte, _ int64) (int, error) {
	time.Sleep(time.Second)
	return len(p), nil
}

// TestDrive: as many bytes are read at a time as may be, and of two drives as many each; more than that in one piece is read alone.
func TestDrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other, unbounded := newDrive(128<<10).read(slow{}), newDrive(128<<10).read(slow{}), (*drive)(nil).read(slow{})
		reads := func(n, size int, bodies ...io.ReaderAt) time.Duration {
			began := time.Now()
			var readers errgroup.Group
			for range n {
				for _, body := range bodies {
					readers.Go(func() error {
						_, err := body.ReadAt(make([]byte, size), 0)
						return err
					})
				}
			}
			if err := readers.Wait(); err != nil {
				t.Error(err)
			}
			return time.Since(began)
		}
		for name, c := range map[string]struct{ got, want time.Duration }{
			"two at a time":   {reads(10, 64<<10, one), 5 * time.Second},
			"of two drives":   {reads(10, 64<<10, one, other), 5 * time.Second},
			"larger than all": {reads(3, 256<<10, one), 3 * time.Second},
			"no bound":        {reads(10, 64<<10, unbounded), time.Second},
		} {
			if c.got != c.want {
				t.Errorf("%s: %v, want %v", name, c.got, c.want)
			}
		}
	})
}
