package wire

import (
	"errors"
	"net"
	"strings"
)

// unixPrefix tells the path of a socket from a host.
const unixPrefix = "unix:"

// ParseAddress reads where an agent is, or is to be.
func ParseAddress(text string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(text, unixPrefix); ok && path != "" && path[0] != '@' {
		return "unix", path, nil
	} else if _, port, err := net.SplitHostPort(text); !ok && err == nil && port != "" {
		return "tcp", text, nil
	}
	return "", "", errors.New("neither host:port nor unix:PATH")
}

// CertifiedHost is whose certificate an agent has at an address that ParseAddress takes; empty where it has none.
func CertifiedHost(network, address string) string {
	if network != "tcp" {
		return ""
	}
	host, _, _ := net.SplitHostPort(address)
	return host
}
