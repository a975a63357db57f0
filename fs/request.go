package fs

import (
	"context"
	"sync"
	"time"
)

// grace is how long a request goes on when its caller was interrupted. The kernel hands EINTR on whatever the caller's signal means,
// and few programs expect that of a file: a signal that only wakes somebody up must not spoil a read. Who is killed waits so long.
const grace = time.Second

// request is the context of a request: it ends some time after the kernel has said that the caller was interrupted.
type request struct {
	cancel <-chan struct{} // go-fuse closes it then

	once    sync.Once
	ended   chan struct{} // closed when the grace is over
	over    chan struct{} // closed when the request is answered
	watcher sync.WaitGroup
}

var _ context.Context = (*request)(nil)

// newRequest begins a request; it must be closed. Only one that waits for something costs more than its memory.
func newRequest(cancel <-chan struct{}) *request { return &request{cancel: cancel} }

func (r *request) close() {
	if r.over != nil {
		close(r.over)
		r.watcher.Wait()
	}
}

// Done and Err are for the goroutine of the request.
func (r *request) Done() <-chan struct{} {
	r.once.Do(func() {
		r.ended, r.over = make(chan struct{}), make(chan struct{})
		r.watcher.Go(r.watch)
	})
	return r.ended
}

func (r *request) watch() {
	select {
	case <-r.cancel:
	case <-r.over:
		return
	}
	select {
	case <-time.After(grace):
		close(r.ended)
	case <-r.over:
	}
}

func (r *request) Err() error {
	select {
	case <-r.Done():
		return context.Canceled
	default:
		return nil
	}
}

func (r *request) Deadline() (time.Time, bool) { return time.Time{}, false }
func (r *request) Value(any) any               { return nil }
