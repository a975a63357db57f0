// Package history joins what the index knows of single runs: which folders and messages there were in any run up to one, under
// which names, and when last (docs/design.md, "All dates at once").
//
// A folder is what its UniqueID says. What the server keeps as deleted counts as gone. A message is a folder's UID with the same
// bytes, whatever else of it changes.
package history
