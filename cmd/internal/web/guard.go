package web

import (
	"net"
	"net/http"
	"strings"
)

// headers: a page may load its style and icon from here, and nothing from anywhere; it is kept nowhere, and shown inside of no other.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	"Cache-Control":           "no-store",
	"X-Content-Type-Options":  "nosniff",
	"X-Frame-Options":         "DENY",
	"Referrer-Policy":         "no-referrer", // the address of a page has a user's name

	"Cross-Origin-Resource-Policy": "same-origin",
}

// Guard lets those through who only look. Where all come from this host, their browser must know that it does: a page from elsewhere, whose name
// its owner lets point here, would be of the same origin, and could read all of it.
func Guard(at net.Addr, next http.Handler) http.Handler {
	tcp, ok := at.(*net.TCPAddr)
	local := ok && tcp.IP.IsLoopback()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		switch {
		case local && !loopback(r.Host):
			http.Error(w, "this is served to this host alone, by the names localhost and 127.0.0.1", http.StatusMisdirectedRequest)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "nothing can be changed here", http.StatusMethodNotAllowed)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// loopback says that a Host means this host wherever it is asked for.
func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else if n := len(host); n > 1 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}
