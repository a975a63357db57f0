package cyrus

import (
	"fmt"
	"strings"
)

// NameFromPath is the inverse of Paths for the layout by name: dir is the path of a mailbox below its partition, with slashes.
// ErrName if there can be no mailbox.
//
// With virtdomains, "domain" on top of a spool is that of the domains, though Cyrus would let a shared mailbox have the name.
func (c *Config) NameFromPath(dir string) (Name, error) {
	bad := fmt.Errorf("%w: of the folder %q", ErrName, dir)
	parts := strings.Split(dir, "/")
	hashed := c.Bool("hashimapspool")
	domain := ""
	if c.hasDomains() && parts[0] == "domain" {
		parts = parts[1:]
		given := ""
		if hashed && len(parts) > 0 {
			given, parts = parts[0], parts[1:]
		}
		if len(parts) == 0 || !isDomain(parts[0]) || strings.Contains(parts[0], "!") || hashed && given != c.hash(parts[0]) {
			return "", bad
		}
		domain, parts = parts[0]+"!", parts[1:]
	}
	if hashed && len(parts) > 0 {
		given := parts[0]
		if parts = parts[1:]; len(parts) == 0 || given != c.spoolHash(parts) {
			return "", bad
		}
	}
	if len(parts) == 0 {
		return "", bad
	}
	for _, p := range parts {
		if p == "" || strings.ContainsAny(p, ".!\x00") {
			return "", bad
		}
	}
	return Name(domain + strings.Join(parts, ".")), nil
}

// UniqueIDFromPath is the inverse of Paths for the layout by UniqueID; ok is false if dir, a path below a partition, is not of it.
func UniqueIDFromPath(dir string) (id string, ok bool) {
	id = dir[strings.LastIndexByte(dir, '/')+1:]
	tail, err := idTail(id)
	return id, err == nil && tail == dir
}

// hasDomains: virtdomains is "userid" or a boolean word.
func (c *Config) hasDomains() bool {
	on, word := boolean(c.Get("virtdomains"))
	return on || !word
}
