package indextest

import (
	"crypto/sha1"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"backupfs/cyrus"
)

// Server is a model of a server with one user, to whom anything may happen, and a plain history of it.
type Server struct {
	History []Snapshot // oldest first
	// Bodies are those that an archive has of the History, by their digests.
	Bodies map[cyrus.GUID]string

	now  Run
	next int // number of the next folder or body
}

// Snapshot is what there was at a run.
type Snapshot struct {
	Run   Run
	GUIDs map[string][]cyrus.GUID // by UniqueID, of each message the digest by which it is known
}

// NewServer begins with nothing.
func NewServer() *Server {
	return &Server{Bodies: map[cyrus.GUID]string{}, now: Run{Begun: time.Date(2009, 9, 27, 23, 55, 0, 0, time.UTC)}}
}

var names = []string{"INBOX", "INBOX.Drafts", "INBOX.Drafts.2009", "INBOX.1", "INBOX.v1^2 notes", "INBOX.Entw&APw-rfe", "INBOX.a/b", "INBOX..",
	"DELETED.user.brong.Gone.6B054A70"}

// Change does one thing that a server may do.
func (s *Server) Change(t *rapid.T) {
	s.now.Begun = s.now.Begun.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 60, 86400}).Draw(t, "seconds")) * time.Second)
	free := slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		return slices.ContainsFunc(s.now.Folders, func(f Folder) bool { return f.Name == n })
	})
	if len(s.now.Folders) == 0 || len(free) > 0 && rapid.IntRange(0, 3).Draw(t, "make") == 0 {
		s.now.Folders = append(s.now.Folders, s.folder(t, rapid.SampledFrom(free).Draw(t, "name")))
		return
	}
	i := rapid.IntRange(0, len(s.now.Folders)-1).Draw(t, "folder")
	f := &s.now.Folders[i]
	switch rapid.IntRange(0, 11).Draw(t, "change") {
	case 0:
		s.now.Folders = slices.Delete(s.now.Folders, i, i+1)
	case 1:
		s.now.Folders[i] = s.folder(t, f.Name)
	case 2:
		if len(free) > 0 {
			f.Name = rapid.SampledFrom(free).Draw(t, "rename")
		}
	case 3:
		other := &s.now.Folders[rapid.IntRange(0, len(s.now.Folders)-1).Draw(t, "swap")]
		f.Name, other.Name = other.Name, f.Name
	case 4:
		f.Version = rapid.SampledFrom([]uint32{9, 10, 12, 17, 19, 20}).Draw(t, "version")
	case 5:
		s.now.Sub = rapid.SampledFrom([]string{"", "INBOX\t\n", "INBOX.Drafts\t\n"}).Draw(t, "sub")
		f.Annotations = rapid.SampledFrom([]string{"", "annotated"}).Draw(t, "annotations")
	case 6, 7:
		s.deliver(t, f)
	case 8: // a new UIDVALIDITY
		f.Messages = nil
		s.deliver(t, f)
	default:
		if len(f.Messages) > 0 {
			s.touch(t, f, rapid.IntRange(0, len(f.Messages)-1).Draw(t, "message"))
		}
	}
}

func (s *Server) folder(t *rapid.T, name string) Folder {
	s.next++
	f := Folder{Name: name, UniqueID: fmt.Sprintf("%08x-6a1e", s.next), Version: rapid.SampledFrom([]uint32{0, 9, 20}).Draw(t, "version")}
	for range rapid.IntRange(0, 3).Draw(t, "messages") {
		s.deliver(t, &f)
	}
	return f
}

func (s *Server) deliver(t *rapid.T, f *Folder) {
	s.next++
	msg := Message{UID: 1, Date: 1254175711 + int64(s.next)}
	if n := len(f.Messages); n > 0 {
		msg.UID = f.Messages[n-1].UID + uint32(rapid.IntRange(1, 3).Draw(t, "gap"))
	}
	// Few bodies, so that folders share them.
	msg.Body = rapid.SampledFrom([]string{"", "one", "Subject: two\r\n\r\n", "three", fmt.Sprint("body ", s.next)}).Draw(t, "body")
	msg.Missing = rapid.IntRange(0, 4).Draw(t, "missing") == 0
	if rapid.IntRange(0, 4).Draw(t, "mismatch") == 0 {
		msg.Claims = rapid.SampledFrom([]string{"one", "never seen"}).Draw(t, "claims")
	}
	f.Messages = append(f.Messages, msg)
}

func (s *Server) touch(t *rapid.T, f *Folder, i int) {
	f.Messages = slices.Clone(f.Messages)
	msg := &f.Messages[i]
	switch rapid.IntRange(0, 5).Draw(t, "touch") {
	case 0:
		msg.Expunged = !msg.Expunged
	case 1:
		msg.Flags ^= cyrus.FlagFlagged
	case 2:
		msg.Unlinked = true
	case 3:
		f.Messages = slices.Delete(f.Messages, i, i+1)
	case 4:
		msg.Missing = !msg.Missing
	case 5:
		msg.Date++
	}
}

// Run ends a run, and notes what there was.
func (s *Server) Run() Run {
	shot := Snapshot{Run: s.now, GUIDs: map[string][]cyrus.GUID{}}
	shot.Run.Folders = slices.Clone(s.now.Folders)
	for i := range shot.Run.Folders {
		f := &shot.Run.Folders[i]
		f.Messages = slices.Clone(f.Messages)
		guids := make([]cyrus.GUID, len(f.Messages))
		for i, msg := range f.Messages {
			guids[i] = msg.GUID(*f)
			if own := cyrus.GUID(sha1.Sum([]byte(msg.Body))); !msg.Unlinked && !msg.Missing && !s.Has(guids[i]) {
				guids[i] = own
				s.Bodies[own] = msg.Body
			}
		}
		shot.GUIDs[f.UniqueID] = guids
	}
	s.History = append(s.History, shot)
	return shot.Run
}

// Has reports whether an archive of the History has a body.
func (s *Server) Has(g cyrus.GUID) bool {
	_, ok := s.Bodies[g]
	return ok
}
