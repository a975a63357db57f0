// Package agent serves a Cyrus server's mail to backup programs, in the protocol of Cyrus's own backupcyrusd: one request a line,
// answered byte for byte as that daemon does. docs/agent.md has the protocol, and where and why the answers differ.
//
// All mail is read through package source. What is sent is copied, or its files are opened, under Cyrus's locks, which are
// released before the first byte goes to a client: a client that stops reading holds no lock, and its files only until the stall timeout.
//
// Invariants:
//   - No input makes it panic; a request's bytes are counted, and too many end the connection.
//   - No mailbox is served to a user whose it is not. Who may connect is the listener's business: whoever can, can read all mail.
//   - Exactly as many bytes follow a DATA line as it says, or the connection ends.
package agent
