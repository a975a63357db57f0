package fs

import "crypto/sha1"

// A node id is 64 bits: kind (4) | slot (20) | payload (40). It says by itself what the node is, so nothing has to be
// remembered for it. The slot stands for a user and an archive file (users.go).
const (
	slotBits    = 20
	payloadBits = 40
	runBits     = 16 // a run a day for 179 years
	idBits      = 24 // of a directory or a folder, beside a run

	rootID = 1 // FUSE says so
)

type kind uint8

// The kinds are below 8, so that an inode number is positive in any program's eyes.
const (
	kindRoot    kind = iota
	kindUser         // a user's folder
	kindDir          // run, directory of the index at that date; 0 is the date itself
	kindSpecial      // run, one of the directories below
	kindLatest       // run that the link "latest" leads to
	kindUnique       // run, folder that the link .uniqueid/<id> leads to
	kindContent      // a file, by the place of its bytes: the same in all dates that have it
	kindMessage      // a row of the index: a message whose date is not the one that is stored beside its bytes
)

// The directories of a date that the index does not know.
const (
	specialMeta   = 1 // .meta
	specialUnique = 2 // .uniqueid
)

// node is a node id taken apart. id is the directory, special, folder, row, or the offset of the content in the tar.
type node struct {
	kind kind
	slot uint32
	run  int
	id   int64
}

// blockSize divides the offset of any content: the tar's block.
const blockSize = 512

// encode returns the node id; ok is false if a number does not fit.
func (n node) encode() (id uint64, ok bool) {
	if n.slot >= 1<<slotBits || n.run < 0 || n.id < 0 {
		return 0, false
	}
	var payload uint64
	switch n.kind {
	case kindRoot:
		return rootID, n == node{}
	case kindUser:
		ok = n.run == 0 && n.id == 0
	case kindDir, kindSpecial, kindUnique:
		payload, ok = uint64(n.run)<<idBits|uint64(n.id), n.run < 1<<runBits && n.id < 1<<idBits
	case kindLatest:
		payload, ok = uint64(n.run), n.run < 1<<runBits && n.id == 0
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
	if id == rootID {
		return node{}, true
	}
	n = node{kind: kind(id >> (slotBits + payloadBits)), slot: uint32(id >> payloadBits & (1<<slotBits - 1))}
	payload := id & (1<<payloadBits - 1)
	switch n.kind {
	case kindUser:
	case kindDir, kindSpecial, kindUnique:
		n.run, n.id = int(payload>>idBits), int64(payload&(1<<idBits-1))
	case kindLatest:
		n.run = int(payload)
	case kindContent:
		n.id = int64(payload) * blockSize
	case kindMessage:
		n.id = int64(payload)
	}
	back, ok := n.encode()
	return n, ok && n.kind != kindRoot && back == id
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
