package web_test

import (
	"bytes"
	"fmt"
	"image/png"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"backupfs/internal/chromium"
)

// TestBrowser: in a real browser the pages are as they should be, can be used by keyboard, fit on a phone, are dark for who likes that, and load
// nothing from elsewhere.
func TestBrowser(t *testing.T) {
	b := browsing{t, chromium.Start(t).Open(), mustServe(t) + "/", os.Getenv("BACKUPFS_SCREENSHOTS")}
	b.Size(1200, 900, false)
	b.front()
	b.keyboard()
	b.hostile()
	b.phone()
	b.dark()
	if problems := b.Problems(); len(problems) != 0 {
		t.Errorf("the browser complains: %s", strings.Join(problems, "\n"))
	}
	for _, u := range b.Requests() {
		if !strings.HasPrefix(u, b.base) {
			t.Errorf("it asked %s", u)
		}
	}
	if len(b.Requests()) < 20 {
		t.Errorf("requests: %q", b.Requests())
	}
}

type browsing struct {
	t *testing.T
	*chromium.Page
	base  string
	shots string // a folder for pictures that somebody wants to look at, or empty
}

// front: who is late comes first, the longest without a backup before the others.
func (b browsing) front() {
	b.Goto(b.base)
	b.check("late", `[...document.querySelectorAll('section[aria-labelledby=late] tbody th')].map(e => e.textContent).join()`,
		"user116,"+hostile+",user007,user006,user005,user004,user003,user002,user001,user000")
	b.check("trouble", `document.querySelector('.notice ul').textContent.includes('list of users of imap9, since ')`, "true")
	b.check("tiles", `[...document.querySelectorAll('.tiles dd')].map(e => e.textContent).join()`, "120,10,2,0,1,9")
	b.check("cells of the calendar", `document.querySelectorAll('.calendar rect.bad').length > 3 && document.querySelectorAll('.calendar rect.good').length > 100`, "true")
	b.check("what the calendar says", `document.querySelector('.calendar').ariaLabel.startsWith('From ')`, "true")
	b.shoot("front")
}

// keyboard: to a user's page, his runs and pictures, by keys alone.
func (b browsing) keyboard() {
	b.reach("the search", `e.id == 'q'`)
	b.Type("BRO")
	b.Press(chromium.Enter)
	b.Await(`location.search == '?q=BRO'`)
	b.check("found", `[...document.querySelectorAll('tbody th')].map(e => e.textContent).sort().join()`, "broken,brong")
	b.reach("the user", `e.textContent == 'brong'`)
	b.Press(chromium.Enter)
	b.Await(`location.pathname == '/user' && document.querySelector('h1').textContent == 'brong'`)
	b.check("runs", `document.querySelectorAll('section[aria-labelledby=runs] tbody tr').length`, "50")
	b.check("all runs", `document.querySelector('section[aria-labelledby=runs] p').textContent`, "120 in all, the newest first. Dates are those of the mounted tree, in UTC.")
	b.check("growth", `document.querySelector('.growth .archive').getBBox().height > 100 && document.querySelector('.growth .mail').getBBox().height > 60`, "true")
	b.check("what it says", `document.querySelector('.growth svg').ariaLabel.includes('the archive went from ')`, "true")
	b.check("days that lack something", `document.querySelectorAll('.calendar rect.some').length`, "3")
	b.shoot("user")
	b.reach("the calendar's table", `e.tagName == 'SUMMARY'`)
	b.Press(chromium.Enter)
	b.Await(`document.querySelector('details').open && document.querySelectorAll('details tbody tr').length > 100`)
	b.reach("older runs", `e.rel == 'next'`)
	b.Press(chromium.Enter)
	b.Await(`location.search.includes('before=71') && document.querySelectorAll('section[aria-labelledby=runs] tbody tr').length == 50`)
}

// hostile: names that mean ill are nothing but text; a user without a usable index has a page.
func (b browsing) hostile() {
	b.Goto(b.base + "user?name=" + url.QueryEscape(hostile))
	b.check("a name", `document.querySelector('h1').textContent`, hostile)
	b.check("a reason", `document.querySelector('.notice').textContent`, hostileReason)
	b.Goto(b.base + "user?name=broken")
	b.check("a damaged index", `document.querySelector('.notice').textContent.includes('backupd reindex')`, "true")
	b.Goto(b.base + "users?q=none")
	b.check("nobody is found", `document.querySelector('.notice').textContent`, "Nobody has that in his name.")
}

// phone: nothing is wider than its screen.
func (b browsing) phone() {
	b.Size(360, 740, true)
	for name, path := range map[string]string{"front": "", "users": "users", "user": "user?name=brong", "hostile": "user?name=" + url.QueryEscape(hostile)} {
		b.Goto(b.base + path)
		b.check(name+" on a phone", `document.scrollingElement.scrollWidth`, "360")
		b.shoot(name + "-phone")
	}
	b.Size(1200, 900, false)
}

// dark: the pages are, for who prefers that, and for nobody else.
func (b browsing) dark() {
	for scheme, dark := range map[string]bool{"dark": true, "light": false} {
		b.Prefer(scheme)
		for name, path := range map[string]string{"front": "", "user": "user?name=brong"} {
			b.Goto(b.base + path)
			if mustBeDark(b.t, b.shoot(name+"-"+scheme)) != dark {
				b.t.Errorf("%s: the page %s is not", scheme, name)
			}
		}
	}
}

func (b browsing) check(what, expression, want string) {
	b.t.Helper()
	var got any
	if b.Eval(expression, &got); fmt.Sprint(got) != want {
		b.t.Errorf("%s: %v, want %s", what, got, want)
	}
}

// reach presses Tab until the focus, which must be seen, is on an element e.
func (b browsing) reach(what, e string) {
	b.t.Helper()
	for range 60 {
		b.Press(chromium.Tab)
		var is bool
		if b.Eval(`(e => `+e+`)(document.activeElement)`, &is); is {
			b.check("focus is seen on "+what, `getComputedStyle(document.activeElement).outline.includes('solid 3px')`, "true")
			return
		}
	}
	b.t.Fatalf("the keyboard does not reach %s", what)
}

func (b browsing) shoot(name string) []byte {
	b.t.Helper()
	shot := b.Screenshot()
	if b.shots != "" {
		must(b.t, os.WriteFile(filepath.Join(b.shots, name+".png"), shot, 0o600))
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
