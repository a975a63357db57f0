// Package durable is the only one that syncs: files and folders that must survive a power loss.
//
// Nothing is durable before a sync that returned without an error: a write to a file before File.Sync, a file's
// existence, new name or removal before SyncDir of its folder. After a failed sync the page cache may show what the
// disk lacks, and a second sync may succeed without having written it: so a File that once failed fails for good, and
// its owner must start over from what an earlier sync left. CutBack brings it there.
package durable
