package fs

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// TestRequest: an interrupted request goes on for the grace, and no longer; one that is answered leaves nothing behind.
func TestRequest(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	synctest.Test(t, func(t *testing.T) {
		cancel := make(chan struct{})
		r := newRequest(cancel)
		defer r.close()
		if r.Err() != nil {
			t.Error("it ends before anybody is interrupted")
		}
		close(cancel)
		begun := time.Now()
		time.Sleep(grace - time.Millisecond)
		if r.Err() != nil {
			t.Error("it ends at once")
		}
		<-r.Done()
		if r.Err() != context.Canceled || time.Since(begun) != grace {
			t.Errorf("%v after %v", r.Err(), time.Since(begun))
		}
	})
	for _, waits := range []bool{false, true} {
		r := newRequest(make(chan struct{}))
		if waits {
			_ = r.Err()
		}
		r.close()
	}
}
