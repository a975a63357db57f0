package chromium

import (
	"encoding/json"
	"fmt"
	"time"
)

// Page is a tab.
type Page struct {
	b       *Browser
	session string

	problems, requests []string // guarded by Browser.mu
}

type params map[string]any

// Open opens an empty tab.
func (b *Browser) Open() *Page {
	b.t.Helper()
	var target struct{ TargetID string }
	must(b.t, b.call("", "Target.createTarget", params{"url": "about:blank"}, &target))
	var attached struct{ SessionID string }
	must(b.t, b.call("", "Target.attachToTarget", params{"targetId": target.TargetID, "flatten": true}, &attached))
	p := &Page{b: b, session: attached.SessionID}
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		p.call(domain+".enable", nil, nil)
	}
	p.call("Emulation.setFocusEmulationEnabled", params{"enabled": true}, nil)
	return p
}

func (p *Page) call(method string, in params, out any) {
	p.b.t.Helper()
	must(p.b.t, p.b.call(p.session, method, in, out))
}

// hear notes what a test asks for afterwards.
func (p *Page) hear(method string, in json.RawMessage) {
	switch method {
	case "Network.requestWillBeSent":
		var m struct{ Request struct{ URL string } }
		if json.Unmarshal(in, &m) == nil {
			p.requests = append(p.requests, m.Request.URL)
		}
	case "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening":
		p.problems = append(p.problems, method+": "+string(in))
	}
}

// Problems are what its console has, and scripts that failed or asked something.
func (p *Page) Problems() []string {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	return p.problems
}

// Requests are the addresses that it asked for.
func (p *Page) Requests() []string {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	return p.requests
}

// Goto shows an address, and waits until it is shown.
func (p *Page) Goto(url string) {
	p.b.t.Helper()
	var m struct{ ErrorText string }
	p.call("Page.navigate", params{"url": url}, &m)
	if m.ErrorText != "" {
		p.b.t.Fatalf("%s: %s", url, m.ErrorText)
	}
	p.Await(fmt.Sprintf("location.href == %q", url))
}

// Await waits until a page is loaded and an expression holds.
func (p *Page) Await(expression string) {
	p.b.t.Helper()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		var is bool
		err := p.eval("document.readyState == 'complete' && ("+expression+")", &is) // between two pages there is nobody to ask
		switch {
		case err == nil && is:
			return
		case time.Since(begun) > patience:
			p.b.t.Fatalf("never: %s: %v", expression, err)
		}
	}
}

// Eval is what an expression gives.
func (p *Page) Eval(expression string, to any) {
	p.b.t.Helper()
	must(p.b.t, p.eval(expression, to))
}

func (p *Page) eval(expression string, to any) error {
	var m struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	if err := p.b.call(p.session, "Runtime.evaluate", params{"expression": expression, "returnByValue": true}, &m); err != nil {
		return err
	}
	if m.ExceptionDetails != nil {
		return fmt.Errorf("%s: %s", expression, m.ExceptionDetails)
	}
	return json.Unmarshal(m.Result.Value, to)
}

// Size makes it as large as a screen, of a phone or not.
func (p *Page) Size(width, height int, phone bool) {
	p.b.t.Helper()
	p.call("Emulation.setDeviceMetricsOverride", params{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}, nil)
}

// Prefer sets what the reader prefers, light or dark.
func (p *Page) Prefer(scheme string) {
	p.b.t.Helper()
	p.call("Emulation.setEmulatedMedia", params{"features": []params{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Tab and Enter are keys, for Press.
var (
	Tab   = params{"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
	Enter = params{"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
)

// Press presses a key.
func (p *Page) Press(key params) {
	p.b.t.Helper()
	for _, what := range []string{"keyDown", "keyUp"} {
		event := params{"type": what}
		for name, value := range key {
			event[name] = value
		}
		p.call("Input.dispatchKeyEvent", event, nil)
	}
}

// Type types a text, key by key.
func (p *Page) Type(text string) {
	p.b.t.Helper()
	for _, c := range text {
		p.Press(params{"key": string(c), "text": string(c)})
	}
}

// Screenshot is a PNG of all of it.
func (p *Page) Screenshot() []byte {
	p.b.t.Helper()
	var size struct {
		CSSContentSize struct{ Width, Height float64 }
	}
	p.call("Page.getLayoutMetrics", nil, &size)
	var shot struct{ Data []byte }
	p.call("Page.captureScreenshot", params{"format": "png", "captureBeyondViewport": true,
		"clip": params{"x": 0, "y": 0, "width": size.CSSContentSize.Width, "height": size.CSSContentSize.Height, "scale": 1}}, &shot)
	return shot.Data
}
