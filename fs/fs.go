package fs

import (
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sync/singleflight"

	"backupfs/archive"
	"backupfs/history"
	"backupfs/internal/pagecache"
	"backupfs/internal/store"
)

// Options of a mount.
type Options struct {
	Store      *store.Store
	CacheBytes int64          // of inflated members
	CacheDir   string         // where an index is made if the store's cannot be used
	Location   *time.Location // of the names of dates
	UID, GID   uint32         // that own everything
	Umask      uint32
	Expunged   bool // show messages that the date's index has as expunged
	UTF8       bool // folders have their names in UTF-8, not in modified UTF-7
	Snapshots  bool // dates above users: snapshots.go
	Flags      bool // messages have flags: flags.go
	Log        *log.Logger
}

// Bounds of what is kept, beside the cache of members.
const (
	maxOpen     = 64      // users whose archive and index are open: two descriptors each
	maxTrees    = 64      // dates whose folders are in memory …
	maxDirs     = 50_000  // … and how many folders in all of them: 10 MB
	maxListings = 32      // folders whose messages are in memory: as many walks can go on at once without a query a read
	maxListed   = 250_000 // messages in all of them, 32 bytes each: 8 MB. A larger folder is kept alone
	maxStates   = 16      // folders whose flags are in memory …
	maxFlags    = 250_000 // … and those of how many messages, 16 bytes each: 4 MB
	maxAsked    = 64      // messages that were looked up, or asked about, last
	maxReported = 1000    // errors that are remembered, so as not to be logged again
)

// How long the kernel may keep what it was told.
const (
	forever = 365 * 24 * time.Hour // below a date nothing changes
	soon    = time.Second          // the root and users' folders. New runs are seen within soon and checkEvery
)

// FS serves a store. It implements fuse.RawFileSystem.
type FS struct {
	opts    Options
	started time.Time
	// generation tells this mount's nodes from another's: slots are given in the order in which users are looked at, and a file
	// handle (open_by_handle_at, NFS) can outlive a mount.
	generation uint64
	users      *users
	root       root
	trees      *lru[treeKey, *tree]
	listings   *lru[uint64, *listing]         // by node id
	flags      *lru[flagsKey, *history.Flags] // by what they are of
	lastAsked  *lru[uint64, message]          // by node id
	listers    singleflight.Group             // for what two requests would make at once
	members    *archive.Cache
	reported   *lru[string, struct{}]
	ahead      ahead
	stretches  *lru[uint64, *listing] // of the archive, by their first file: for read-ahead only, they know no names
}

var _ fuse.RawFileSystem = (*FS)(nil)

// New makes the file system. Nothing in the store is opened yet.
func New(opts Options) *FS {
	f := &FS{
		opts:       opts,
		started:    time.Now(),
		generation: rand.Uint64(),
		trees:      newLRU[treeKey, *tree](maxTrees, maxDirs),
		listings:   newLRU[uint64, *listing](maxListings, maxListed),
		members:    archive.NewCache(opts.CacheBytes),
		flags:      newLRU[flagsKey, *history.Flags](maxStates, maxFlags),
		lastAsked:  newLRU[uint64, message](maxAsked, maxAsked),
		stretches:  newLRU[uint64, *listing](maxStretches, maxStretches),
		reported:   newLRU[string, struct{}](maxReported, maxReported),
	}
	f.ahead.group.SetLimit(maxAside)
	f.users = newUsers(opts.Store, f.open)
	return f
}

// Close closes all archives and indexes. No request may be under way, and the mount must have ended.
func (f *FS) Close() error {
	return errors.Join(f.ahead.close(), f.users.close())
}

func (f *FS) String() string { return "backupfs" }
func (f *FS) SetDebug(bool)  {}
func (f *FS) OnUnmount()     {}

// Init is called when the mount is there, before the first request.
func (f *FS) Init(*fuse.Server) {
	var err error
	if f.ahead.kernel, err = pagecache.Open(); err != nil {
		f.logOnce(fmt.Sprintf("nothing is read ahead: %v", err))
	}
}
