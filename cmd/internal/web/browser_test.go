package web_test

import (
	"bytes"
	"fmt"
	"image/png"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"backupfs/internal/chromium"
)

// TestBrowser: in a real browser the pages are as they should be, can be used by keyboard, fit on a phone, are dark for who likes that, and load
// nothing from elsewhere. BACKUPFS_SCREENSHOTS names a folder for pictures to look at.
func TestBrowser(t *testing.T) {
	base := mustServe(t)
	p := chromium.Start(t).Open()
	p.Size(1200, 900, false)

	// The front page: who is late, the longest first.
	p.Goto(base + "/")
	var late []string
	p.Eval(`[...document.querySelectorAll('section[aria-labelledby=late] tbody th')].map(e => e.textContent)`, &late)
	want := []string{"user116", hostile, "user007", "user006", "user005", "user004", "user003", "user002", "user001", "user000"}
	if !slices.Equal(late, want) {
		t.Errorf("late: %q", late)
	}
	check := func(what, expression, want string) {
		t.Helper()
		var got any
		if p.Eval(expression, &got); fmt.Sprint(got) != want {
			t.Errorf("%s: %v, want %s", what, got, want)
		}
	}
	check("tiles", `[...document.querySelectorAll('.tiles dd')].map(e => e.textContent).join(' ')`, "120 10 2 0 1 9")
	check("cells of the calendar", `document.querySelectorAll('.calendar rect.bad').length > 3 && document.querySelectorAll('.calendar rect.good').length > 100`, "true")
	check("what the calendar says", `document.querySelector('.calendar').ariaLabel.startsWith('From ')`, "true")
	shots := mustShoot(t, p, "front")

	// To a user by keyboard alone.
	reach := func(what, expression string) {
		t.Helper()
		for range 60 {
			p.Press(chromium.Tab)
			var is bool
			if p.Eval(`(e => `+expression+`)(document.activeElement)`, &is); is {
				check("focus is seen on "+what, `getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).outlineWidth`, "solid3px")
				return
			}
		}
		t.Fatalf("the keyboard does not reach %s", what)
	}
	reach("the search", `e.id == 'q'`)
	p.Type("BRO")
	p.Press(chromium.Enter)
	p.Await(`location.search == '?q=BRO'`)
	check("found", `[...document.querySelectorAll('tbody th')].map(e => e.textContent).sort().join(' ')`, "broken brong")
	reach("the user", `e.textContent == 'brong'`)
	p.Press(chromium.Enter)
	p.Await(`location.pathname == '/user' && document.querySelector('h1').textContent == 'brong'`)
	check("runs", `document.querySelectorAll('section[aria-labelledby=runs] tbody tr').length + document.querySelector('section[aria-labelledby=runs] p').textContent`,
		"50120 in all, the newest first. Dates are those of the mounted tree, in UTC.")
	check("the picture", `document.querySelector('.growth svg').ariaLabel.includes('the archive went from ') && document.querySelector('.growth .archive').getBBox().height > 100`, "true")
	check("days that lack something", `document.querySelectorAll('.calendar rect.some').length`, "3")
	reach("the calendar's table", `e.tagName == 'SUMMARY'`)
	p.Press(chromium.Enter)
	p.Await(`document.querySelector('details').open && document.querySelectorAll('details tbody tr').length > 100`)
	p.Eval(`document.querySelector('details').open = false`, new(bool))
	shots.take("user")
	reach("older runs", `e.rel == 'next'`)
	p.Press(chromium.Enter)
	p.Await(`location.search.includes('before=71')`)
	check("older runs", `document.querySelectorAll('section[aria-labelledby=runs] tbody tr').length`, "50")

	// Names that mean ill are shown, and are nothing but text; a user without a usable index has a page.
	p.Goto(base + "/user?name=" + url.QueryEscape(hostile))
	check("a hostile name", `document.querySelector('h1').textContent`, hostile)
	check("a hostile reason", `document.querySelector('.notice').textContent`, hostileReason)
	shots.take("hostile")
	p.Goto(base + "/user?name=broken")
	check("a damaged index", `document.querySelector('.notice').textContent.includes('backupd reindex')`, "true")
	p.Goto(base + "/users")
	p.Goto(base + "/users?q=none")
	check("nobody is found", `document.querySelector('.notice').textContent`, "Nobody has that in his name.")

	// On a phone, and in the dark.
	p.Size(360, 740, true)
	for name, path := range map[string]string{"front": "/", "users": "/users", "user": "/user?name=brong", "hostile": "/user?name=" + url.QueryEscape(hostile)} {
		p.Goto(base + path)
		check(name+" on a phone", `document.scrollingElement.scrollWidth`, "360")
		shots.take(name + "-phone")
	}
	p.Size(1200, 900, false)
	for scheme, dark := range map[string]bool{"dark": true, "light": false} {
		p.Prefer(scheme)
		for _, path := range []string{"", "user?name=brong"} {
			p.Goto(base + "/" + path)
			if shot := shots.take(strings.ReplaceAll(scheme+"-"+path, "?", "-")); mustBeDark(t, shot) != dark {
				t.Errorf("%s: the page is not", scheme)
			}
		}
	}

	if problems := p.Problems(); len(problems) != 0 {
		t.Errorf("the browser complains: %s", strings.Join(problems, "\n"))
	}
	for _, u := range p.Requests() {
		if !strings.HasPrefix(u, base+"/") {
			t.Errorf("it asked %s", u)
		}
	}
	if len(p.Requests()) < 20 {
		t.Errorf("requests: %q", p.Requests())
	}
}

// shooting keeps pictures where somebody wants to look at them.
type shooting struct {
	t   *testing.T
	p   *chromium.Page
	dir string
}

func mustShoot(t *testing.T, p *chromium.Page, name string) shooting {
	s := shooting{t, p, os.Getenv("BACKUPFS_SCREENSHOTS")}
	s.take(name)
	return s
}

func (s shooting) take(name string) []byte {
	s.t.Helper()
	shot := s.p.Screenshot()
	if s.dir != "" {
		must(s.t, os.WriteFile(filepath.Join(s.dir, name+".png"), shot, 0o600))
	}
	return shot
}

// mustBeDark says whether the upper left corner of a picture is.
func mustBeDark(t *testing.T, shot []byte) bool {
	t.Helper()
	picture, err := png.Decode(bytes.NewReader(shot))
	must(t, err)
	r, g, b, _ := picture.At(2, 2).RGBA()
	return r+g+b < 3*0x4000
}
