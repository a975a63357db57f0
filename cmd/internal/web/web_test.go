package web_test

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"backupfs/archive"
	"backupfs/cmd/internal/web"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/schedule"
)

// TestPaging: by the links alone, everyone is found once, the late ones first.
func TestPaging(t *testing.T) {
	base := mustServe(t)
	name, next := regexp.MustCompile(`<tr><th scope="row"><a href="user\?name=([^"]*)">`), regexp.MustCompile(`rel="next" href="([^"]*)"`)
	var found []string
	pages := 0
	for link := []string{"", "users?q=u"}; link != nil; pages++ {
		page := mustGet(t, base+"/"+html.UnescapeString(link[1]))
		for _, m := range name.FindAllStringSubmatch(page, -1) {
			found = append(found, m[1])
		}
		link = next.FindStringSubmatch(page)
	}
	seen := map[string]bool{}
	for _, n := range found {
		seen[n] = true
	}
	if len(found) != 118 || len(seen) != 118 || pages != 3 || found[0] != "user116" || found[2] != "user007" {
		t.Errorf("%d users, %d names on %d pages: %q", len(found), len(seen), pages, found)
	}
}

func mustGet(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	must(t, err)
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s\n%s", url, resp.Status, page)
	}
	return string(page)
}

// saying is a source that says what it is told to.
type saying struct {
	report schedule.Report
	user   schedule.UserReport
	runs   []index.Run
	err    error
}

func (s saying) handler() http.Handler {
	return web.Handler(web.Source{
		Report: func(context.Context) (schedule.Report, error) { return s.report, s.err },
		Users: func(context.Context, schedule.Search) (schedule.Found, error) {
			return schedule.Found{Users: []schedule.UserReport{s.user}, All: 1}, s.err
		},
		User: func(context.Context, string) (schedule.UserReport, error) { return s.user, s.err },
		Runs: func(string) ([]index.Run, error) { return s.runs, nil },
	}, slog.New(slog.DiscardHandler))
}

func ask(h http.Handler, method, target, host string) *httptest.ResponseRecorder {
	r, w := httptest.NewRequest(method, target, nil), httptest.NewRecorder()
	if r.Host = host; host == "" {
		r.Host = "localhost:9180"
	}
	h.ServeHTTP(w, r)
	return w
}

// TestGuard: who only looks is let in; a browser that was led here by another name is not, where all come from this host.
func TestGuard(t *testing.T) {
	here, everywhere := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv4zero}
	for _, c := range []struct {
		at           net.Addr
		method, host string
		code         int
	}{
		{here, "GET", "localhost:9180", 200},
		{here, "HEAD", "localhost", 200},
		{here, "GET", "127.0.0.1:9180", 200},
		{here, "GET", "127.9.9.9", 200},
		{&net.TCPAddr{IP: net.IPv6loopback}, "GET", "[::1]:9180", 200},
		{here, "GET", "[::1]", 200},
		{here, "GET", "evil.example", 421},
		{here, "GET", "127.0.0.1.evil.example:9180", 421},
		{here, "GET", "localhost.evil.example", 421},
		{here, "GET", "192.0.2.1", 421},
		{here, "GET", "0.0.0.0:9180", 421},
		{here, "GET", "[localhost", 421},
		{here, "POST", "evil.example", 421},
		{here, "GET", ":9180", 421},
		{everywhere, "GET", "backup.example.org:9180", 200},
		{here, "POST", "localhost", 405},
		{here, "OPTIONS", "localhost", 405},
		{everywhere, "DELETE", "backup.example.org", 405},
	} {
		for _, path := range []string{"/", "/style.css", "/icon.svg"} {
			w := ask(web.Guard(c.at, saying{}.handler()), c.method, path, c.host)
			if w.Code != c.code {
				t.Errorf("%s %s of %s at %s: %d, want %d", c.method, path, c.host, c.at, w.Code, c.code)
			}
			h := w.Header()
			if csp := h.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'self';") || strings.Contains(csp, "unsafe") ||
				h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") != "DENY" {
				t.Errorf("%s %s: %v", c.method, path, h)
			}
			if h.Get("Allow") == "" == (c.code == 405) {
				t.Errorf("%s: Allow: %q", c.method, h.Get("Allow"))
			}
		}
	}
}

// TestHostile: whatever a name or a reason holds, a page has it as text alone, with nothing that is invisible.
func TestHostile(t *testing.T) {
	bad := "\"'><script>alert(1)</script>\x00\xff" + strings.Join(indextest.Nasty, "")
	now := time.Now()
	s := saying{
		report: schedule.Report{At: now, Units: []schedule.UnitReport{{Server: bad, Unit: bad, Users: 1, Late: 1, Oldest: &now}},
			Failures: []schedule.Failure{{User: bad, Server: bad, Unit: bad, Reason: bad}}, Gone: []schedule.Gone{{User: bad}},
			Troubles: []schedule.Trouble{{What: bad, Since: now, Reason: bad}}, Stores: []schedule.Space{{Store: bad}, {Store: bad, Error: bad}},
			Scrub: &schedule.ScrubReport{Damaged: []schedule.Damaged{{User: bad, Found: now, What: bad}}}},
		user: schedule.UserReport{User: schedule.User{Name: bad, Server: bad, Unit: bad}, Listed: true, Late: true, Reason: bad, Damage: bad},
		runs: []index.Run{{Run: archive.Run{Marker: archive.Marker{Run: 1, Begun: now, Skipped: []string{bad, bad}}}, Date: "2026-11-27"}},
	}
	for _, path := range []string{"/", "/users?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E%1b%c2%9b%7f", "/user?name=x", "/nowhere/%3Cscript%3Ealert"} {
		w := ask(s.handler(), "GET", path, "")
		page := w.Body.String()
		if strings.Contains(page, "<script") || strings.Contains(page, "\ufffd") || !strings.HasSuffix(page, "</html>\n") {
			t.Errorf("%s: %d: a name is more than text:\n%s", path, w.Code, page)
		}
		if err := indextest.Obeyed([]byte(page)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if page := ask(s.handler(), "GET", "/", "").Body.String(); strings.Count(page, `id="damaged"`) != 1 || strings.Count(page, `&lt;script&gt;`) < 10 {
		t.Errorf("the front page lacks something:\n%s", page)
	}
}

// TestNotNow: what cannot be shown is told in words, by a page.
func TestNotNow(t *testing.T) {
	for _, c := range []struct {
		err  error
		path string
		code int
		text string
	}{
		{schedule.ErrLoading, "/", 503, "It is still finding out when each user was backed up last. Try again in a minute."},
		{context.DeadlineExceeded, "/users", 503, "The scheduler does not answer: it is busy. Try again."},
		{schedule.ErrUnknown, "/user?name=nobody", 404, "No such user."},
		{nil, "/other", 404, "There is no such page."},
		{errors.New("secret"), "/user", 503, "The scheduler does not answer: it is busy. Try again."},
	} {
		w := ask(saying{err: c.err}.handler(), "GET", c.path, "")
		if w.Code != c.code || !strings.Contains(w.Body.String(), `<p class="notice">`+c.text+"</p>") {
			t.Errorf("%s: %d\n%s", c.path, w.Code, w.Body)
		}
	}
}

// TestLarge: of users, and of what is wrong with them, a page has no more than it can show; a user of ten years is drawn with what can be seen.
func TestLarge(t *testing.T) {
	now := time.Now()
	s := saying{report: schedule.Report{At: now}, user: schedule.UserReport{User: schedule.User{Name: "brong"}}}
	for i := range 100000 {
		s.report.Failures = append(s.report.Failures, schedule.Failure{User: fmt.Sprintf("user%06d", i), Reason: "it fails"})
	}
	for i := range 3650 {
		begun := now.AddDate(0, 0, i-3650)
		run := archive.Run{Marker: archive.Marker{Run: i + 1, Begun: begun, Bytes: int64(i) << 20}, End: archive.Position{File: int64(i) << 19}}
		s.runs = append(s.runs, index.Run{Run: run, Date: begun.Format(time.DateOnly)})
	}
	for _, path := range []string{"/", "/user?name=brong"} {
		if w := ask(s.handler(), "GET", path, ""); w.Code != http.StatusOK || w.Body.Len() > 100_000 {
			t.Errorf("%s: %d, %d bytes", path, w.Code, w.Body.Len())
		}
	}
	if page := ask(s.handler(), "GET", "/", "").Body.String(); !strings.Contains(page, "<p>And 99,950 more: <code>backupd status --json</code> has all.</p>") {
		t.Error("it does not say how many more there are")
	}
}
