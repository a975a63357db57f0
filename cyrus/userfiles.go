package cyrus

import (
	"path/filepath"
	"strings"
)

// UserFiles returns where "seen" and "sub" of a user lie; inbox is the user's INBOX, nil if unknown. They may not exist. A user
// without a name has none.
//
// By the INBOX's UniqueID if it is laid out so, else by name, always hashed: Cyrus decides in the same way.
//
// cyrus: imap/mboxname.c mboxname_conf_getpath, mboxname_conf_getpath_legacy, mboxid_conf_getpath
func (c *Config) UserFiles(user string, inbox *Mailbox) map[string]string {
	root := c.Get("mboxname_userpath")
	var path func(file string) string
	if inbox != nil && !inbox.Legacy {
		tail, err := idTail(inbox.UniqueID)
		if err != nil {
			return nil
		}
		path = func(file string) string { return filepath.Join(root, "user", tail, file+".db") }
	} else {
		local, domain := user, ""
		if at := strings.LastIndexByte(user, '@'); at >= 0 {
			local, domain = user[:at], user[at+1:]
		}
		if local == "" || domain != "" && !isDomain(domain) || strings.ContainsAny(local, "/\x00") {
			return nil
		}
		if domain != "" && domain != c.Get("defaultdomain") {
			root = filepath.Join(root, "domain", c.hash(domain), domain)
		}
		path = func(file string) string { return filepath.Join(root, "user", c.hash(local), local+"."+file) }
	}
	return map[string]string{"seen": path("seen"), "sub": path("sub")}
}
