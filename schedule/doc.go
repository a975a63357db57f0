// Package schedule says who is backed up next, and has it done: a list of users from outside, batches of users of one drive unit,
// workers, retries, and the state that tells how it stands.
//
// When each user's last run was, the archives say. The state (schedule.sqlite3 beside them) is a cache of that, which is made again
// from the archives where it is lost, and asked about nothing that matters: before a user's run begins, his archive is asked whether he is
// due at all. What the state alone knows is what failed, and why, and when archives were read again.
//
// All of it belongs to one goroutine, that of Scheduler.Run; workers get a batch, and tell it over a channel how it went. Who is due
// follows from his last run and the Plan, so a process that starts anew goes on where the one before was. That no user is backed up twice
// at a time is left to the lock that each has in the store.
package schedule
