package fs

import "crypto/sha1"

// A node id is 64 bits: kind (4) | slot (20) | payload (40). It says by itself what the node is, so nothing has to be
// remembered for it. The slot stands for a user and an archive file (users.go).
const (
	slotBits    = 20
	payloadBits = 40
	runBits     = 16 // a run a day for 179 years
	viewBits    = 2  // beside a run
	idBits      = 22 // of a directory or a folder, beside a run and a view
	rowBits     = 24 // of a message, beside a run

	rootID = 1 // FUSE says so
)

type kind uint8

// The kinds are below 8, so that an inode number is positive in any program's eyes.
const (
	kindRoot    kind = iota // a directory above the users: see snapshots.go
	kindUser                // a user's folder
	kindDir                 // run, view, directory in its tree; 0 is the top
	kindSpecial             // run, one of the directories below
	kindFlagged             // run, row of the index: a message with the flags that it had from that run on (flags.go)
	kindLink                // run, view, link in its tree; 0, at a date, is the link "latest" that leads there
	kindContent             // a file, by the place of its bytes: the same in all dates that have it
	kindMessage             // a row of the index: a message whose date is not the one that is stored beside its bytes
)

// The directories of a date that the index does not know.
const (
	specialMeta   = 1 // .meta
	specialUnique = 2 // .uniqueid
)

// view is what a tree shows of the runs up to one: see view.go.
type view uint8

const (
	viewDate    view = iota // that run alone
	viewAll                 // all messages
	viewDeleted             // those that the run does not have any more
)

// node is a node id taken apart. id is the directory, special, link, row, or the offset of the content in the tar.
type node struct {
	kind kind
	slot uint32
	run  int
	view view
	id   int64
}

// blockSize divides the offset of any content: the tar's block.
const blockSize = 512

// isFile tells messages and meta files from all else.
func (n node) isFile() bool { return n.kind == kindContent || n.isRow() }

// isRow says that id is a message's row.
func (n node) isRow() bool { return n.kind == kindMessage || n.kind == kindFlagged }

// isLatest says that it is the link "latest".
func (n node) isLatest() bool { return n.kind == kindLink && n.view == viewDate && n.id == 0 }

// encode returns the node id; ok is false if a number does not fit.
func (n node) encode() (id uint64, ok bool) {
	inTree := n.kind == kindDir || n.kind == kindLink
	if n.slot >= 1<<slotBits || n.run < 0 || n.id < 0 || n.view != viewDate && !inTree || n.view > viewDeleted {
		return 0, false
	}
	var payload uint64
	switch n.kind {
	case kindRoot:
		id = uint64(n.id) + rootID
		return id, n == node{id: n.id} && id < 1<<payloadBits
	case kindUser:
		ok = n.run == 0 && n.id == 0
	case kindDir, kindSpecial, kindLink:
		payload = uint64(n.run)<<(viewBits+idBits) | uint64(n.view)<<idBits | uint64(n.id)
		ok = n.run < 1<<runBits && n.id < 1<<idBits
	case kindFlagged:
		payload, ok = uint64(n.run)<<rowBits|uint64(n.id), n.run < 1<<runBits && n.id < 1<<rowBits
	case kindContent:
		payload = uint64(n.id / blockSize)
		ok = n.run == 0 && n.id%blockSize == 0 && payload < 1<<payloadBits
	case kindMessage:
		payload, ok = uint64(n.id), n.run == 0 && n.id < 1<<payloadBits
	}
	return uint64(n.kind)<<(slotBits+payloadBits) | uint64(n.slot)<<payloadBits | payload, ok
}

// decode takes a node id apart; ok is false for one that encode does not make.
func decode(id uint64) (n node, ok bool) {
	n = node{kind: kind(id >> (slotBits + payloadBits)), slot: uint32(id >> payloadBits & (1<<slotBits - 1))}
	payload := id & (1<<payloadBits - 1)
	switch n.kind {
	case kindRoot:
		n.id = int64(payload) - rootID
	case kindUser:
	case kindDir, kindSpecial, kindLink:
		n.run, n.view, n.id = int(payload>>(viewBits+idBits)), view(payload>>idBits&(1<<viewBits-1)), int64(payload&(1<<idBits-1))
	case kindFlagged:
		n.run, n.id = int(payload>>rowBits), int64(payload&(1<<rowBits-1))
	case kindContent:
		n.id = int64(payload) * blockSize
	case kindMessage:
		n.id = int64(payload)
	}
	back, ok := n.encode()
	return n, ok && back == id
}

// userInode is the inode number of a user's folder: kind and 60 bits of the name's SHA-1. It is not the node id, so that
// the root can be listed without a slot for each user; and it is the order of the root's listing.
func userInode(name string) uint64 {
	sum := sha1.Sum([]byte(name))
	var h uint64
	for _, b := range sum[:8] {
		h = h<<8 | uint64(b)
	}
	return uint64(kindUser)<<(slotBits+payloadBits) | h>>4
}
