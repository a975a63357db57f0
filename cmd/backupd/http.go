package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"backupfs/cmd/internal/cli"
	"backupfs/cmd/internal/web"
	"backupfs/schedule"
)

// listenHTTP opens an address, or none if it is empty.
func listenHTTP(ctx context.Context, addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	return new(net.ListenConfig).Listen(ctx, "tcp", addr)
}

const (
	// A scheduler answers in milliseconds; but it may be storing what it knows of 100,000 users.
	reportTime = 10 * time.Second
	// Whoever asks takes the answer soon: it is short.
	requestTime = 30 * time.Second
	// maxHeader is plenty for a user's name in an address.
	maxHeader = 16 << 10
)

// serveHTTP answers until ctx ends.
func (s *serving) serveHTTP(ctx context.Context, ln net.Listener, scheduler *schedule.Scheduler, stores schedule.Stores) {
	asking := semaphore.NewWeighted(1)
	mux := http.NewServeMux()
	mux.Handle("/metrics", s.metrics.handler(func(ctx context.Context) (schedule.Report, error) { return inTurn(ctx, asking, scheduler.Report) }))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		code, text := health(inTurn(r.Context(), asking, scheduler.Report))
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text) // whoever asked is gone
	})
	mux.Handle("/", web.Handler(web.Source{
		Report: func(ctx context.Context) (schedule.Report, error) { return inTurn(ctx, asking, scheduler.Report) },
		Users: func(ctx context.Context, q schedule.Search) (schedule.Found, error) {
			return inTurn(ctx, asking, func(ctx context.Context) (schedule.Found, error) { return scheduler.Users(ctx, q) })
		},
		User: func(ctx context.Context, name string) (schedule.UserReport, error) {
			return inTurn(ctx, asking, func(ctx context.Context) (schedule.UserReport, error) { return scheduler.User(ctx, name) })
		},
		Runs: stores.Runs,
	}, s.log))
	server := &http.Server{Handler: web.Guard(ln.Addr(), mux), ReadTimeout: requestTime, WriteTimeout: requestTime, IdleTimeout: requestTime,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("the page, metrics and health are not served any more", "error", err)
	}
}

// inTurn asks the scheduler when nobody else does: it answers between two things that it has to do, and many who ask must not keep it from them.
func inTurn[T any](ctx context.Context, asking *semaphore.Weighted, question func(context.Context) (T, error)) (answer T, err error) {
	ctx, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	if err := asking.Acquire(ctx, 1); err != nil {
		return answer, err
	}
	defer asking.Release(1)
	return question(ctx)
}

// health is whether work goes on, and what is in its way, a line each.
func health(r schedule.Report, err error) (code int, text string) {
	switch {
	case errors.Is(err, schedule.ErrLoading):
		return http.StatusOK, err.Error() + "\n"
	case err != nil:
		return http.StatusServiceUnavailable, "the scheduler does not answer\n"
	case len(r.Troubles) == 0:
		return http.StatusOK, "ok: " + summary(r) + "\n"
	}
	for _, t := range r.Troubles {
		text += fmt.Sprintf("%s, since %s: %s\n", cli.Clean(t.What), t.Since.UTC().Format(time.RFC3339), cli.Clean(t.Reason))
	}
	return http.StatusServiceUnavailable, text
}
