package config

import "net"

func (r *reader) http() HTTP {
	h := HTTP(r.file.HTTP)
	if h.Listen == "" {
		return h
	}
	host, port, err := net.SplitHostPort(h.Listen)
	switch ip := net.ParseIP(host); {
	case err != nil || port == "":
		r.bad("http.listen", `%q is no address as "127.0.0.1:9180"`, h.Listen)
	case !h.Insecure && !ip.IsLoopback():
		r.bad("http.listen", "at %q other hosts could ask, too; if they may: insecure = true", h.Listen)
	}
	return h
}
