// Package fs is the dated tree of a store (docs/design.md) and its FUSE server.
//
// It speaks the kernel's protocol directly (fuse.RawFileSystem): every method is written out here, those that write in
// refuse.go, so that a method that is missing does not compile. The kernel keeps all caches; what this package keeps is
// bounded: open archives and indexes (users.go), trees of dates, listings of folders (lru.go), inflated members
// (archive.Cache). The table of slots alone grows, by an entry a user that somebody has looked at.
//
// Invariants:
//   - Node ids are computed (nodeid.go), never remembered, so FORGET has nothing to do.
//   - Everything below a date is immutable, and the kernel may keep it for ever. What changes is the root and a user's
//     folder: their entries and attributes live for a second.
//   - st_ino is the d_ino that a listing shows, and grows with the place in the archive; nearly so with Options.Flags.
//   - OPEN and OPENDIR are answered ENOSYS: the kernel then opens files without asking and keeps what it has read.
//   - What is handed to the kernel unasked (ahead.go) is what a READ would answer: nothing for which neither a CRC nor a digest vouches.
//   - An error is logged where it becomes an errno (errno.go), with the user, date, folder and UID; no one panics.
//
// Locks: users.mu, lru.mu, root.mu, walk.mu and hints; none is held while another is taken, nor across I/O.
package fs
