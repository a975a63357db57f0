package cyrus

// hash is the folder, one letter, that a user or domain is filed under: full over the whole name up to its first dot, else
// by the first letter.
//
// cyrus: lib/util.c dir_hash_c
func hash(name string, full bool) string {
	if !full {
		if name != "" {
			if c := name[0] | 0x20; c >= 'a' && c <= 'z' && name[0] >= 'A' {
				return string(rune(c))
			}
		}
		return "q"
	}
	var n uint32
	for i := 0; i < len(name) && name[i] != '.'; i++ {
		n = ((n << 3) ^ (n >> 5)) ^ uint32(name[i])
	}
	return string(rune('A' + n%23))
}
