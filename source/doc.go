// Package source is where a user's mail comes from: a local spool read under Cyrus's locks, or a remote agent.
//
// A Source is safe for concurrent use by several users' runs. It knows nothing of archives.
//
// Local reads the spool of a Cyrus server on this host, running or not. A snapshot of a mailbox is of one moment: under the
// mailbox's and the index's read locks the meta files are copied. Under no lock it is decided which messages are wanted. Their
// files are opened (pinned) under the mailbox's lock again, if the index is still the same, and read when no lock is held any more:
// what the server unlinks meanwhile is still read.
//
// Nothing is called deleted because one list lacks it: see Vanished.
//
// Locks, in the order of lock/order.go: mailbox, index, then one database at a time; read locks all; held for milliseconds.
//
// Not read by Local, in this version: the METADATA of folders (annotations.db), so that no snapshot has a
// cyrus.mailbox_annotations; mailboxes.db itself, which ctl_mboxlist tells of.
package source
