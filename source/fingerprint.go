package source

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"golang.org/x/sys/unix"
)

// A fingerprint stands for the state of a few files: their inodes, sizes, mtimes and ctimes in nanoseconds.
//
// A file system stamps a change with the time of the kernel's last tick (10 ms ago at most, with HZ=100), so that two changes
// can bear one stamp. Thus a fingerprint counts only if the newest ctime (which nobody can set) is older than settled at a
// moment before the files were looked at: a later change then gets a later stamp. Where the stamp has no fraction, the file
// system may keep whole seconds, or two as FAT does.
const (
	settled       = 50 * time.Millisecond
	settledCoarse = 2*time.Second + settled
)

// fingerprintOf looks at files by their names. One that does not exist is part of the state.
func fingerprintOf(paths ...string) string {
	now := time.Now()
	stats := make([]*unix.Stat_t, len(paths))
	for i, path := range paths {
		st := new(unix.Stat_t)
		switch err := unix.Stat(path, st); err {
		case nil:
			stats[i] = st
		case unix.ENOENT, unix.ENOTDIR:
		default:
			return ""
		}
	}
	return fingerprint(now, stats...)
}

// fingerprint is empty if what it would say could be outdated unnoticed. now is from before the files were looked at; nil
// stands for a file that does not exist.
func fingerprint(now time.Time, stats ...*unix.Stat_t) string {
	h := sha256.New()
	for _, st := range stats {
		if st == nil {
			h.Write([]byte{0})
			continue
		}
		wait := settled
		if st.Ctim.Nsec == 0 {
			wait = settledCoarse
		}
		if now.Sub(time.Unix(st.Ctim.Unix())) <= wait {
			return ""
		}
		b := []byte{1}
		for _, n := range []int64{int64(st.Dev), int64(st.Ino), st.Size, st.Mtim.Nano(), st.Ctim.Nano()} {
			b = binary.BigEndian.AppendUint64(b, uint64(n))
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
