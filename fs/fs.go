package fs

import (
	"log"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sync/singleflight"

	"backupfs/archive"
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
	Log        *log.Logger
}

// Bounds of what is kept, beside the cache of members.
const (
	maxOpen     = 64      // users whose archive and index are open: two descriptors each
	maxTrees    = 64      // dates whose folders are in memory …
	maxDirs     = 50_000  // … and how many folders in all of them: 10 MB
	maxListings = 32      // folders whose messages are in memory: as many walks can go on at once without a query a read
	maxListed   = 250_000 // messages in all of them, 32 bytes each: 8 MB. A larger folder is kept alone
	maxReported = 1000    // errors that are remembered, so as not to be logged again
)

// How long the kernel may keep what it was told.
const (
	forever = 365 * 24 * time.Hour // below a date nothing changes
	soon    = time.Second          // the root and users' folders. New runs are seen within soon and checkEvery
)

// FS serves a store. It implements fuse.RawFileSystem.
type FS struct {
	opts     Options
	started  time.Time
	users    *users
	root     root
	trees    *lru[treeKey, *tree]
	listings *lru[uint64, *listing] // by node id
	listers  singleflight.Group
	members  *archive.Cache
	reported *lru[string, struct{}]
}

var _ fuse.RawFileSystem = (*FS)(nil)

// New makes the file system. Nothing in the store is opened yet.
func New(opts Options) *FS {
	f := &FS{
		opts:     opts,
		started:  time.Now(),
		trees:    newLRU[treeKey, *tree](maxTrees, maxDirs),
		listings: newLRU[uint64, *listing](maxListings, maxListed),
		members:  archive.NewCache(opts.CacheBytes),
		reported: newLRU[string, struct{}](maxReported, maxReported),
	}
	f.users = newUsers(opts.Store, f.open)
	return f
}

// Close closes all archives and indexes. No request may be under way.
func (f *FS) Close() error { return f.users.close() }

func (f *FS) String() string    { return "backupfs" }
func (f *FS) SetDebug(bool)     {}
func (f *FS) Init(*fuse.Server) {}
func (f *FS) OnUnmount()        {}
