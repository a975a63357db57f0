package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

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
)

// serveHTTP answers until ctx ends.
func (s *serving) serveHTTP(ctx context.Context, ln net.Listener, scheduler *schedule.Scheduler) {
	report := func(ctx context.Context) (schedule.Report, error) {
		ctx, cancel := context.WithTimeout(ctx, reportTime)
		defer cancel()
		return scheduler.Report(ctx)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.handler(report))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		code, text := health(report(r.Context()))
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text) // whoever asked is gone
	})
	server := &http.Server{Handler: mux, ReadTimeout: requestTime, WriteTimeout: requestTime}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("metrics and health are not served any more", "error", err)
	}
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
		text += fmt.Sprintf("%s, since %s: %s\n", t.What, t.Since.UTC().Format(time.RFC3339), t.Reason)
	}
	return http.StatusServiceUnavailable, text
}
