// Package web shows how backupd serve stands, on pages for people. They are made on the server and have no script. They change nothing, and know
// nothing but what the scheduler and a user's index say: there is no second way of counting.
package web

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"backupfs/cmd/internal/cli"
	"backupfs/index"
	"backupfs/schedule"
)

// Source is who knows what the pages show. Each of its functions answers soon, or with an error.
type Source struct {
	Report func(context.Context) (schedule.Report, error)
	Users  func(context.Context, schedule.Search) (schedule.Found, error)
	User   func(context.Context, string) (schedule.UserReport, error)
	Runs   func(user string) ([]index.Run, error)
}

//go:embed pages/*.html
var pages embed.FS

//go:embed assets/style.css
var style []byte

//go:embed assets/icon.svg
var icon []byte

type site struct {
	Source
	log *slog.Logger
}

// Handler serves the pages. Their links are relative, so that a proxy may have them below a path of its own.
func Handler(s Source, log *slog.Logger) http.Handler {
	h := &site{s, log}
	mux := http.NewServeMux()
	mux.Handle("/style.css", file("text/css; charset=utf-8", style))
	mux.Handle("/icon.svg", file("image/svg+xml", icon))
	mux.HandleFunc("/{$}", h.page("front", h.front))
	mux.HandleFunc("/users", h.page("users", h.users))
	mux.HandleFunc("/user", h.page("user", h.user))
	mux.HandleFunc("/", h.page("error", func(*http.Request) (any, error) { return nil, errNoPage }))
	return mux
}

func file(kind string, content []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(content) // whoever asked is gone
	})
}

// frame is what all pages have.
type frame struct {
	Title string
	AsOf  time.Time
	Query string // in the field for a search
}

var errNoPage = errors.New("there is no such page")

// page answers with a template, filled with what get returns, or with the page for errors.
func (h *site) page(name string, get func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		code := http.StatusOK
		data, err := get(r)
		if err != nil {
			failure := failed(err)
			name, data, code = "error", failure, failure.code
		}
		var page bytes.Buffer
		if err := templates().ExecuteTemplate(&page, name, data); err != nil {
			h.log.Error("a page cannot be made", "page", name, "error", err)
			http.Error(w, "this page cannot be made; the log says why", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(code)
		_, _ = w.Write(page.Bytes()) // whoever asked is gone
	}
}

// failure is a page that cannot be shown.
type failure struct {
	frame
	Text string
	code int
}

func failed(err error) failure {
	f := failure{frame{Title: "Not now", AsOf: time.Now()}, "The scheduler does not answer: it is busy. Try again.", http.StatusServiceUnavailable}
	switch {
	case errors.Is(err, errNoPage), errors.Is(err, schedule.ErrUnknown):
		f.Title, f.Text, f.code = "Not found", upper(err.Error())+".", http.StatusNotFound
	case errors.Is(err, schedule.ErrLoading):
		f.Text = upper(err.Error()) + ". Try again in a minute."
	}
	return f
}

// upper begins a sentence.
func upper(s string) string { return string(bytes.ToUpper([]byte(s[:1]))) + s[1:] }

// templates are parsed for the first page: all other commands that are in the program have no use for them.
var templates = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"clean": cli.Clean,
		"count": func(n int) string { return humanize.Comma(int64(n)) },
		"size":  size[int64],
		"free":  size[uint64],
		"stamp": stamp,
		"iso":   func(t time.Time) string { return t.Format(time.RFC3339) },
		"ago":   func(t, at time.Time) string { return humanize.RelTime(t, at, "ago", "from now") },
		"zone":  func(t time.Time) string { return t.Local().Format("MST") },
		"odd":   func(r index.Run) []string { return cli.Remarks(r.Run) },
		"rest":  func(n int) int { return max(n-listed, 0) },

		"skipped": func(r index.Run) []string { return r.Skipped[:min(len(r.Skipped), named)] },
	}).ParseFS(pages, "pages/*.html"))
})

func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

func size[N int64 | uint64](n N) string { return humanize.IBytes(uint64(max(n, 0))) }
