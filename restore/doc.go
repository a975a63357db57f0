// Package restore brings mail back: from a date of a user's archive to a place.
//
// Two seams. A Selection says what (folders, UIDs, what messages say of themselves), and Date.Messages streams it: record, flags, bytes.
// A Sink says where to: a folder of files, a Maildir, mbox files, or the user's live mail.
//
// Invariants:
//   - Nothing that is there is deleted or written over, in no sink.
//   - Every sink leaves out what it has already, by GUID: what was interrupted is called again, and what is done twice adds nothing.
//   - A message's bytes are written only with their digest compared.
//   - A message or folder that fails stops no other, and is in the Result.
//
// Locks: of the store none, since an archive only grows. Of the server's, those that are below "writers" in lock/order.go.
package restore
