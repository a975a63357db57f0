package lock

// The order of locks. Whoever holds one takes only what stands below it.
//
//	1. store     STORE/users/…/lock                      File      this process alone writes the user's archive
//	2. user      LOCKROOT/*U*<userid>.lock               Write     by writers alone: a reader of mail needs it not, and one who asks for
//	                                                     it while he holds 3 can deadlock with imapd
//	3. mailbox   LOCKROOT/<uniqueid or path>.lock        Read      no message file is unlinked, no mailbox deleted or moved
//	4. index     cyrus.index                             Read      no record, no flag, no keyword changes
//	                                                     Write     by writers: nobody reads or changes it
//	5. database  cyrus.annotations, seen, sub,           Read      no record of it changes
//	             annotations.db (of all mailboxes: alone)
//
// cyrus: imap/mailbox.c mailbox_lock_index, imap/mboxname.c mboxname_lock, lib/cyrusdb_twoskip.c read_lock
//
// 3 to 5 are held for milliseconds, while meta files are read into memory and message files are opened, and never while bytes
// go anywhere else: whoever waits for a write lock on 3 holds 2 meanwhile, and stalls all that his user does. For the same
// reason 4 is waited for only briefly while 3 is held; then both are given back, and it starts again.
//
// Writers are those who bring mail back into a live mailbox (package restore). They take what imapd takes for APPEND, 2 to 4, each without
// waiting; where one cannot be had all are given back, and it starts again: imapd's COPY asks for 2 while it holds 3.
