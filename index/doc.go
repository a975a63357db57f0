// Package index is a cache of one archive: an sqlite file that answers, for every run, which folders, messages and
// meta files there were, and where their bytes stand.
//
// It is filled in one way only: CatchUp scans the complete runs that it lacks and applies them in one transaction. A
// rebuild is CatchUp on an empty file, so that a rebuilt index has the same rows, the same ids among them; Check proves
// it. Deleting an index costs a rebuild, nothing else, and no error here ever touches the archive.
//
// History is kept as lives: a row says from which run to which run something was so. What is so still has
// last = open. As of run R: first <= R and last >= R. Ids are given in the order of appearance in the archive.
//
// An Index is safe for concurrent use. Index.mu guards its one connection; no other lock is taken under it, and it is not
// held while a row is yielded, so that callers may ask the next question within a loop. Between processes sqlite's own locks
// hold: many readers, and one writer, who holds the user's lock of the store (lock.File) around OpenWrite and Rebuild.
//
// Files are read only with a rollback journal, never WAL: a reader writes nothing, and works on read-only media.
package index
