package backup

import (
	"time"

	"backupfs/index"
)

// times are when runs began, oldest first, if clocks may have been wrong. A run that was made while a clock was years ahead leaves all that come after
// it with its own time, since none begins before the one before it. Whichever of the clocks was wrong, nothing may be dropped for it: so there
// are two readings, and what either keeps is kept.
type times struct {
	begun []time.Time // as in the tree: an earlier run's clock was right
	clock []time.Time // a later run's clock was right: none is later than one behind it
	back  []bool      // the run's clock was behind that of an earlier one
}

func timesOf(runs []index.Run) (t times) {
	t.begun, t.clock, t.back = make([]time.Time, len(runs)), make([]time.Time, len(runs)), make([]bool, len(runs))
	for i := len(runs) - 1; i >= 0; i-- {
		t.begun[i], t.clock[i], t.back[i] = runs[i].Begun, runs[i].Clocked(), !runs[i].Clock.IsZero()
		if i+1 < len(runs) && t.clock[i+1].Before(t.clock[i]) {
			t.clock[i] = t.clock[i+1]
		}
	}
	return t
}

// kept says which runs are.
func (t times) kept(keep Keep, loc *time.Location) []bool {
	kept := keep.Kept(t.clock, loc)
	var right []time.Time // as the first reading has it; of the others it knows no day
	for i, begun := range t.begun {
		if !t.back[i] {
			right = append(right, begun)
		}
	}
	if keep.Last = 0; keep == (Keep{}) {
		return kept // the last ones are the last ones
	}
	also := keep.Kept(right, loc)
	for i := range kept {
		if !t.back[i] {
			kept[i], also = kept[i] || also[0], also[1:]
		}
	}
	return kept
}

// older says whether a run is older than the newest by a time for which something is kept. From one run to the next no more than a quarter of that
// counts: a clock that was put years ahead a moment ago ends nothing that began yesterday.
func (t times) older(i int, kept time.Duration) bool {
	var begun, clock time.Duration
	for ; i+1 < len(t.begun); i++ {
		begun += min(t.begun[i+1].Sub(t.begun[i]), kept/4)
		clock += min(t.clock[i+1].Sub(t.clock[i]), kept/4)
	}
	return max(begun, clock) >= kept
}
