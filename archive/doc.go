// Package archive reads and writes the bytes of a user's .tar.gz: entries, gzip members, runs. docs/format.md is its law;
// what the entries mean is package index's business.
//
// Invariants:
//   - Members, inflated and joined, are one ustar stream. A member of ours holds at most MemberSize of it.
//   - A run without its marker did not happen. Bytes of complete runs are never written again, nor cut off.
//   - What is cut off behind the last complete run was first copied aside and synced.
//   - Memory does not grow with the archive, a message or the number of runs read.
//   - Bytes that are not what they must be are ErrDamaged, a failing disk is the disk's own error.
//   - What a Cache hands out was vouched for by its member's CRC, or by its own digest (salvage.go). Only a plain tar has neither.
//
// An Archive reads, at any offset (Cache) or forward (Scanner). An Appender adds runs. Both may stand on one file at
// once: a reader goes no further than Complete, an appender changes nothing before it.
//
// Locks: Archive.mu (the run table of a plain tar) and Archive.slow.turn (the one open stream into a large member) are
// leaves, as is Cache.mu, which is never held while a member is inflated. Under Cache.salvaging one is, and whoever Known asks may lock. The Appender's goroutines share nothing but
// channels.
package archive
