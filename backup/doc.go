// Package backup makes one run for one user: compare, fetch, append, index; and verifies what runs made.
//
// Invariants: files/<sha1> always holds bytes of that SHA-1. All messages that a stored cyrus.index lists are in the archive
// before it, or noted as missing in the cyrus.backupfs behind it. A run without its marker did not happen. The index is
// a cache: it is filled from the archive alone, and decides about no byte in it.
//
// The order of a run is in one function, run.commit. Locks, in order: the user's lock in the store for the whole run;
// under it those that the source takes, which it never holds while it calls deliver.
package backup
