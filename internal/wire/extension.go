package wire

// Extension is what PING is asked for, and the line that offers it: this word, and the versions that are spoken.
const (
	Extension = "BACKUPFS"
	Version   = "1"
)

// Words of the extension.
const (
	None    = "-"      // no time is counted, no message is wanted
	ByID    = "id"     // a mailbox is laid out by its UniqueID
	ByName  = "name"   // and by its name
	NoFile  = "nofile" // of a missing message: there is no file
	BadFile = "bad"    // it cannot be read
	NoType  = "type"   // of METADATA: it never can
	Record  = "record" // name of a file: a cyrus.index with the record of the message that follows
)
