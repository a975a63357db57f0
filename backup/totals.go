package backup

import (
	"fmt"
	"time"
)

// total is what IMAP shows of a folder: its messages, and their sizes as the server's index has them.
type total struct {
	messages int
	bytes    int64
}

// sum fills in what the marker says of the whole user, and when the run ended.
func (r *run) sum() error {
	m := &r.marker
	present := make(map[string]bool)
	for _, id := range r.names {
		present[id] = true
	}
	m.Folders = len(present)
	before, err := r.ix.Totals()
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	for id := range present {
		t, ok := r.sums[id]
		if !ok {
			old := before[r.states[id].Folder]
			t = total{old.Messages, old.Bytes}
		}
		m.Messages += t.messages
		m.Bytes += t.bytes
	}
	m.Ended = r.begun.Add(time.Since(r.started)).Truncate(time.Second)
	return nil
}
