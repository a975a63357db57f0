// Package source is where a user's mail comes from: a local spool read under Cyrus's locks, or a remote agent.
//
// A Source is safe for concurrent use by several users' runs. It knows nothing of archives.
//
// Local reads the spool of a Cyrus server on this host, running or not. A snapshot of a mailbox is of one moment: under the
// mailbox's and the index's read locks the meta files are copied. Under no lock it is decided which messages are wanted. Their
// files are opened (pinned) under the mailbox's lock again, if the index is still the same, and read when no lock is held any more:
// what the server unlinks meanwhile is still read.
//
// Package agent, which serves others, asks Local for more than a Source has: stats without a lock (Stat), and pinned messages to be
// read in any order (Pin).
//
// Nothing is called deleted because one list lacks it: see Vanished.
//
// Locks, in the order of lock/order.go: mailbox, index, then one database at a time; read locks all; held for milliseconds.
//
// The METADATA of all folders is in one database (annotations.db), which is read whole, and again only when it has changed.
//
// Not read by Local, in this version: mailboxes.db itself, which ctl_mboxlist tells of.
package source
