package cyrus

import (
	"fmt"
	"strings"
)

// headerMotto stands between headerMagic and what a header says. Cyrus refuses a file with another one.
//
// cyrus: imap/mailbox.h MAILBOX_HEADER_MAGIC
const headerMotto = "\"The best thing about this system was that it had lots of goals.\"\n\t--Jim Morris on Andrew\n"

// Marshal returns the file, in the form that h.Old says. A word that the form cannot hold is an error, and so are more keywords than
// a mailbox can have.
//
// cyrus: imap/mailbox.c mailbox_commit_header
func (h *Header) Marshal() ([]byte, error) {
	flags := withoutUnused(h.Flags)
	if len(flags) > maxFlags {
		return nil, fmt.Errorf("%d keywords, there can be %d", len(flags), maxFlags)
	}
	w := headerWriter{}
	w.WriteString(headerMagic + headerMotto)
	if h.Old {
		w.old(h, flags)
	} else {
		w.dlist(h, flags)
	}
	return []byte(w.String()), w.err
}

// headerWriter remembers the first word that could not be written.
type headerWriter struct {
	strings.Builder
	err error
}

// refuse notes that a word holds what ends it.
func (w *headerWriter) refuse(word, ends string) {
	if w.err == nil && strings.ContainsAny(word, ends) {
		w.err = fmt.Errorf("%q cannot stand in a cyrus.header", word)
	}
}

// old writes three lines, see parseOldHeader.
func (w *headerWriter) old(h *Header, flags []string) {
	word := func(s, end string) {
		w.refuse(s, end+"\t\n\x00")
		w.WriteString(s + end)
	}
	word(h.QuotaRoot, "")
	if strings.HasPrefix(h.QuotaRoot, "%") { // as the other form begins
		w.refuse(h.QuotaRoot, "%")
	}
	if h.UniqueID != "" {
		w.WriteByte('\t')
		word(h.UniqueID, "")
	}
	w.WriteByte('\n')
	for _, f := range flags {
		word(f, " ")
	}
	w.WriteByte('\n')
	for _, e := range h.ACL {
		word(e.User, "\t")
		word(e.Rights, "\t")
	}
	w.WriteByte('\n')
}

// dlist writes one list, see parseDlistHeader.
//
// cyrus: imap/mailbox.c mailbox_header_data_cstring
func (w *headerWriter) dlist(h *Header, flags []string) {
	w.WriteString("%(")
	for _, p := range []struct{ key, value string }{{"T", h.MboxType}, {"N", h.Name}, {"I", h.UniqueID}, {"J", h.JMAPID}, {"Q", h.QuotaRoot}} {
		if p.value != "" {
			w.WriteString(p.key + " ")
			w.dlistWord(p.value)
			w.WriteByte(' ')
		}
	}
	w.WriteString("A %(")
	for i, e := range h.ACL {
		if i > 0 {
			w.WriteByte(' ')
		}
		w.dlistWord(e.User)
		w.WriteByte(' ')
		w.dlistWord(e.Rights)
	}
	w.WriteByte(')')
	for i, f := range flags {
		if i == 0 {
			w.WriteString(" U (")
		} else {
			w.WriteByte(' ')
		}
		if f == "" {
			w.WriteString("NIL")
		} else {
			w.dlistWord(f)
		}
	}
	if len(flags) > 0 {
		w.WriteByte(')')
	}
	w.WriteString(")\n")
}

// dlistWord writes an atom, or else a quoted word. A literal, which Cyrus's printer falls back on, is none that its reader of
// this file finds the end of: it takes one line.
//
// cyrus: lib/imparse.c imparse_isnatom
func (w *headerWriter) dlistWord(s string) {
	w.refuse(s, "\r\n\x00")
	special := func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`{()"%*\`, r) }
	if s != "" && s != "NIL" && len(s) < 1024 && strings.IndexFunc(s, special) < 0 {
		w.WriteString(s)
		return
	}
	w.WriteString(`"` + dlistQuotes.Replace(s) + `"`)
}

var dlistQuotes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
