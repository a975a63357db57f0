package fs

import "sync"

// walk is how far a listing is read. The kernel has what it needs of files [0,end), or will ask.
type walk struct {
	mu     sync.Mutex
	last   int   // the file asked for last; -1: none
	end    int   // behind the window
	mark   int   // the file in the window that is not handed over; -1: there is no window
	size   int64 // bytes of the window; 0: all is handed over
	first  int64 // bytes of the first window, if it is to be larger than minWindow
	passed int   // files before it were asked for while the window was being handed over
	busy   bool  // somebody hands the window over
	more   bool  // and is to go on with the next
}

func newWalk() walk { return walk{last: -1, mark: -1} }

// asked notes that the kernel asks for a file; due says that the caller has to hand the next windows over.
func (w *walk) asked(i int) (due bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	follows := i == w.last+1
	w.last = i
	switch {
	case w.busy:
		w.passed = max(w.passed, i+1)
		w.more = w.more || i >= w.mark && i <= w.end
		return false
	case w.mark >= 0 && (i == w.mark || i == w.end):
		w.size = min(2*w.size, maxWindow)
		w.end = max(w.end, i+1)
	case follows:
		w.size, w.end, w.first = max(minWindow, w.first), i+1, 0
	default:
		return false
	}
	w.busy, w.more, w.passed = true, false, 0
	return true
}

// next opens the window behind the last one; ok is false if nobody needs it.
func (w *walk) next(files []file, first bool) (from, to, mark int, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !first && !w.more || w.end == len(files) {
		w.busy = false
		return 0, 0, 0, false
	}
	if !first {
		w.size, w.more = min(2*w.size, maxWindow), false
	}
	from = w.end
	to = from
	for left := w.size; to < len(files) && left > 0; to++ {
		left -= files[to].size
	}
	w.end, w.mark = to, from+(to-from)/2
	return from, to, w.mark, true
}

// ended reports, once, that all n files are handed over, and how large the last window was.
func (w *walk) ended(n int) (size int64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.end < n || w.size == 0 {
		return 0, false
	}
	size, w.size = w.size, 0
	return size, true
}

// begin says how large the first window is to be.
func (w *walk) begin(size int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.first = size
}

// skip says that a file is not to be handed over any more: it was asked for meanwhile.
func (w *walk) skip(i int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return i < w.passed
}

// stop ends a walk: the next file that is asked for does not go on with it.
func (w *walk) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy, w.mark, w.last = false, -1, -2
}
