package cyrus

import "strings"

const (
	// DeletedFolder is the top of the paths of what the server keeps as deleted.
	DeletedFolder = ".deleted"
	maxComponent  = 255 // bytes of a file name on Linux: NAME_MAX
)

// TreePath returns the path of an archived name in a dated tree: INBOX/Drafts, .deleted/Gone/6B054A70. No component is empty,
// "." or "..", holds a slash or NUL or is over 255 bytes: such are percent-escaped. It is injective over the names of one
// archive: of two users' deleted mailboxes, which no archive holds together, it tells not whose.
//
// A slash, NUL or percent sign is its hex code behind a percent sign. A percent sign alone is an empty component; one at the
// end of a component says that it goes on in the next one.
func TreePath(archived string) []string {
	parts := strings.Split(archived, ".")
	var path []string
	if len(parts) > 3 && parts[0] == deletedPrefix && parts[1] == userPrefix {
		path, parts = []string{DeletedFolder}, parts[3:]
	}
	for _, p := range parts {
		path = appendComponent(path, p)
	}
	return path
}

var escapes = strings.NewReplacer("%", "%25", "/", "%2F", "\x00", "%00")

func appendComponent(path []string, part string) []string {
	if part == "" {
		return append(path, "%")
	}
	part = escapes.Replace(part)
	for len(part) > maxComponent {
		cut := maxComponent - 1
		for _, back := range []int{1, 2} { // not within an escape
			if part[cut-back] == '%' {
				cut -= back
				break
			}
		}
		path = append(path, part[:cut]+"%")
		part = part[cut:]
	}
	return append(path, part)
}
