// Package store is the layout of a store: which folder a user's archive lies in (docs/store.md).
//
// A store is a folder with backupfs.toml, written once, and users/, a folder a user. Every folder is 0700 and every
// file 0600, whatever the umask. The package makes folders and names paths; it takes no lock and reads no archive.
package store
