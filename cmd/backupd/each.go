package main

import (
	"context"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
)

// processors is how many users at a time keep this host busy, where their work waits for nothing else.
func processors() int { return runtime.GOMAXPROCS(0) }

// eachUser does work for all users, so many at a time, and hands each outcome to done, one at a time. A user's error stops no
// other; a cancelled ctx does.
func eachUser[U, T any](ctx context.Context, users []U, atATime int, work func(context.Context, U) (T, error), done func(U, T, error)) error {
	var group errgroup.Group
	group.SetLimit(atATime)
	var mu sync.Mutex // held while done runs
	for _, u := range users {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			result, err := work(ctx, u)
			mu.Lock()
			defer mu.Unlock()
			if ctx.Err() == nil {
				done(u, result, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}
