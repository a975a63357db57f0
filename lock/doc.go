// Package lock takes Cyrus's own locks, and the store's.
//
// All are locks of whole files (start 0, length 0) by open file description (fcntl F_OFD_SETLK). They conflict with the
// POSIX fcntl locks that Cyrus takes, in both directions, and unlike those they are not lost when this process closes some
// other descriptor of the same file. They end when the *os.File is closed or the process dies, whatever its death was.
//
// Nothing here waits in the kernel: a lock is tried, and tried again, until it is had, a time limit is over, or the context
// ends. The order in which locks are taken is in order.go, and nowhere else.
package lock
