package cyrus

import "fmt"

// Flags of a record: the low half are IMAP's, the high half Cyrus's own.
const (
	FlagAnswered  = 1 << 0
	FlagFlagged   = 1 << 1
	FlagDeleted   = 1 << 2
	FlagDraft     = 1 << 3
	FlagSeen      = 1 << 4 // the owner's, from version 12
	FlagSnoozed   = 1 << 26
	FlagSplitConv = 1 << 27
	FlagCleanup   = 1 << 28
	FlagArchived  = 1 << 29 // the message file is on the archive partition
	FlagUnlinked  = 1 << 30 // the message file is gone
	FlagExpunged  = 1 << 31 // IMAP no longer shows it; the file is there until it is unlinked
)

var systemFlags = []struct {
	bit  uint32
	name string
}{
	{FlagAnswered, `\Answered`},
	{FlagFlagged, `\Flagged`},
	{FlagDeleted, `\Deleted`},
	{FlagDraft, `\Draft`},
	{FlagSeen, `\Seen`},
}

// Expunged: IMAP no longer shows the message.
func (r *Record) Expunged() bool { return r.SystemFlags&FlagExpunged != 0 }

// Unlinked: the message file is gone.
func (r *Record) Unlinked() bool { return r.SystemFlags&FlagUnlinked != 0 }

// FlagNames returns IMAP's flags of a record, in the order of the index; userFlags are cyrus.header's, "userflag:N" for one
// that has no name there.
func (r *Record) FlagNames(userFlags []string) []string {
	var names []string
	for _, f := range systemFlags {
		if r.SystemFlags&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	for n := range 32 * len(r.UserFlags) {
		if r.UserFlags[n/32]&(1<<(n%32)) == 0 {
			continue
		}
		if n < len(userFlags) && userFlags[n] != "" {
			names = append(names, userFlags[n])
		} else {
			names = append(names, fmt.Sprintf("userflag:%d", n))
		}
	}
	return names
}
