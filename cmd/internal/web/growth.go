package web

import (
	"fmt"
	"strings"
	"time"

	"backupfs/index"
)

// growth is a picture of how large an archive was after each run, and the mail that the run showed.
type growth struct {
	Text          string // what the picture says
	Archive, Mail string // paths
	Half, Top     int64  // bytes, on the left
	First         time.Time
}

// In the units of the picture, which is stretched to the room that there is.
const (
	growthWidth  = 1000
	growthHeight = 200
)

// newGrowth draws runs, of which there is one at least, up to a moment.
func newGrowth(runs []index.Run, now time.Time) growth {
	first, last := runs[0], runs[len(runs)-1]
	g := growth{First: first.Begun}
	for _, r := range runs {
		g.Top = max(g.Top, r.End.File, r.Bytes)
	}
	g.Top = roundUp(g.Top)
	g.Half = g.Top / 2
	draw := func(bytes func(index.Run) int64) string {
		var path strings.Builder
		span := max(now.Sub(first.Begun), 1)
		at := func(i int) int {
			return int(min(max(float64(runs[i].Begun.Sub(first.Begun))/float64(span), 0), 1) * growthWidth)
		}
		for i, r := range runs {
			if i+1 < len(runs) && at(i+1) == at(i) {
				continue // nobody could see it
			}
			y := growthHeight - int(float64(bytes(r))/float64(g.Top)*growthHeight)
			if path.Len() == 0 {
				fmt.Fprintf(&path, "M0 %d", y)
			}
			fmt.Fprintf(&path, "H%dV%d", at(i), y)
		}
		fmt.Fprintf(&path, "H%d", growthWidth)
		return path.String()
	}
	g.Archive = draw(func(r index.Run) int64 { return r.End.File })
	g.Mail = draw(func(r index.Run) int64 { return r.Bytes })
	g.Text = fmt.Sprintf("From the first run, %s, to the last, %s, the archive went from %s to %s, and the mail that a run shows from %s to %s.",
		first.Date, last.Date, size(first.End.File), size(last.End.File), size(first.Bytes), size(last.Bytes))
	return g
}

// roundUp is the next number of bytes that reads well, as 4 MiB; its half does, too.
func roundUp(n int64) int64 {
	unit := int64(1)
	for n > 1000*unit {
		unit *= 1024
	}
	for _, m := range []int64{2, 4, 6, 8, 10, 16, 20, 30, 40, 60, 80, 100, 160, 200, 300, 400, 600, 800, 1000} {
		if n <= m*unit {
			return m * unit
		}
	}
	return 2 * unit * 1024
}
