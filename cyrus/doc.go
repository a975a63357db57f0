// Package cyrus knows what a Cyrus IMAP server keeps on disk: cyrus.index (versions 9 to 20), cyrus.header (both forms), annotations.db,
// the names of mailboxes, imapd.conf, and where a mailbox, its locks and its user's files lie.
//
// It turns bytes into structs and back, and computes paths. It opens no file but imapd.conf, takes no lock and changes no file; all
// functions are safe for concurrent use. docs/cyrus.md has the facts and where they come from.
//
// Invariants:
//   - No input makes it panic, and nothing is allocated that the input's length does not bear out.
//   - A checksum that is wrong is noted in the result and not an error: the mail beside it may be whole. Not so in a database.
//   - Paths never leave the partition that imapd.conf names; a name that could is ErrName.
package cyrus
