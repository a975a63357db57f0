// Package cyruslab runs private Cyrus IMAP servers for tests, fixtures and benchmarks.
//
// A Lab is one server in a folder of its own: Debian's cyrus-imapd (3.6), without systemd, a syslog daemon or passwords
// (imapd -N: any password is right), listening on 127.0.0.1 and on a unix socket for LMTP. It comes up in a fraction of
// a second. Daemons and tools run as user cyrus; the caller is root or that user. The server dies with the process that
// started it.
//
// Client speaks IMAP as it stands on the wire: mailbox names are modified UTF-7 in the server's own namespace, and any
// command can be sent, which is why no IMAP library stands between. It is made for a server that we trust, and no other.
//
// Truth asks the server over IMAP what it holds; package truth compares that with a dated tree.
package cyruslab
