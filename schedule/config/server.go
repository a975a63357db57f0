package config

import (
	"cmp"
	"time"

	"backupfs/internal/wire"
)

const (
	defaultTimeout = "10m"
	leastTimeout   = time.Second
)

// server reads how to reach a server: on this host, or by its agent.
func (r *reader) server(name string) Server {
	f, key := r.file.Servers[name], "servers."+name
	s := Server{IMAPDConf: f.IMAPDConf, Address: f.Address, TLS: f.TLS}
	switch {
	case f.IMAPDConf == "" && f.Address == "":
		r.bad(key, `how to reach it is not said: imapd_conf = %q on this host, address = "imap1.example.org:2901" elsewhere`, defaultConf)
	case f.IMAPDConf != "" && f.Address != "":
		r.bad(key+".address", "with imapd_conf it is on this host; leave one of the two out")
	case f.Address == "" && f.TLS != "":
		r.bad(key+".tls", "it is for the connection to an address")
	case f.Address == "" && f.Timeout != "":
		r.bad(key+".timeout", "it is for the connection to an address")
	case f.Address != "":
		s.Timeout = r.duration(key+".timeout", cmp.Or(f.Timeout, defaultTimeout), leastTimeout)
		network, address, err := wire.ParseAddress(f.Address)
		if err != nil {
			r.bad(key+".address", "%q: %v", f.Address, err)
		} else if f.TLS != "" && wire.CertifiedHost(network, address) == "" {
			r.bad(key+".tls", "the agent's certificate is for a host, and %q names none", f.Address)
		}
	}
	return s
}
