// Package truth is what an IMAP server said that it holds, and compares it with a dated folder of a mount.
//
// Truth files are JSON. Three shapes are read: our own (what json.Marshal makes of a Truth), and those of the fixtures of
// Cyrus 3.6 and 3.13, which name the same things differently. All are plain data; nothing here knows how the tree was made.
package truth
