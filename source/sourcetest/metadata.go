package sourcetest

import (
	"errors"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/cyrus"
	"backupfs/internal/cyruslab"
	"backupfs/source"
)

// metadata of a folder is what IMAP was told, and a change of it alone is noticed, in this folder alone.
func (s *suite) metadata() {
	alice, c := s.user("alice")
	cyruslab.Must(s, c.Create(s.box("Work")))
	s.relist()
	db := s.conf.Get("annotation_db_path")
	before, err := os.ReadFile(db)
	cyruslab.Must(s, err)
	s.mustHaveMetadata(alice, "INBOX", nil)
	cyruslab.Must(s, c.SetMetadata("INBOX", "/shared/comment", "Entwürfe \"alt\"\r\n"), c.SetMetadata("INBOX", "/private/comment", "mine"),
		c.SetMetadata(s.box("Work"), "/private/comment", "other"))
	s.mustHaveMetadata(alice, "INBOX.Work", []cyrus.Annotation{{Entry: "/comment", User: alice, Value: "other"}})
	with := s.mustHaveMetadata(alice, "INBOX", []cyrus.Annotation{{Entry: "/comment", Value: "Entwürfe \"alt\"\r\n"}, {Entry: "/comment", User: alice, Value: "mine"}})

	// Of all files the database alone changes.
	after, err := os.ReadFile(db)
	cyruslab.Must(s, err)
	s.replace(db, before)
	if without := s.mustHaveMetadata(alice, "INBOX", nil); without == with {
		s.Error("METADATA is no part of the fingerprint")
	}
	s.replace(db, after)
	if again := s.mailbox(alice, "INBOX").Fingerprint; again != with {
		s.Errorf("with the same METADATA as before the fingerprint is %q, not %q", again, with)
	}

	// As long as it does not change, nobody waits for its lock.
	release := hold(s, db)
	defer release()
	if again := s.mailbox(alice, "INBOX").Fingerprint; again != with {
		s.Errorf("while the server writes, the fingerprint is %q, not %q", again, with)
	}
}

// metadataUnknown: what cannot be read is not taken for none, and keeps nothing else from being read.
func (s *suite) metadataUnknown() {
	alice, c := s.user("alice")
	cyruslab.Must(s, c.SetMetadata("INBOX", "/shared/comment", "x"))
	m := s.mailbox(alice, "INBOX")
	time.Sleep(s.traits.Settled * 5 / 4)
	db := s.conf.Get("annotation_db_path")
	good, err := os.ReadFile(db)
	cyruslab.Must(s, err)
	defer s.replace(db, good)
	patient := s.src
	s.src = s.open(LockTimeout)
	known := s.mailbox(alice, "INBOX").Fingerprint
	for _, step := range []struct {
		name    string
		content []byte
		is      error // nil: any
		lasting bool
	}{
		{"locked", good, source.ErrBusy, false},
		{"damaged", append(slices.Clone(good[:60]), "bad checksum of the header"...), nil, false},
		{"another type", []byte("another type of database"), cyrus.ErrDatabase, true},
	} {
		s.replace(db, step.content)
		release := func() {}
		if step.is == source.ErrBusy {
			release = hold(s, db)
		}
		snap, _ := s.mustFetch(m, none)
		file := metadataOf(snap)
		if file == nil || file.Err == nil || len(file.Data) > 0 || len(snap.Files) != 3 || snap.Index.Exists != 0 {
			s.Fatalf("%s: %+v", step.name, snap.Files)
		}
		if step.lasting && !s.traits.Plain && !errors.Is(file.Err, step.is) { // of what passes the words are told
			s.Errorf("%s: %v", step.name, file.Err)
		}
		if !s.traits.Plain {
			listed := s.mailbox(alice, "INBOX").Fingerprint
			if snap.Fingerprint == known || listed != snap.Fingerprint || (listed != "") != step.lasting {
				s.Errorf("%s: fetched %q, listed %q, before %q", step.name, snap.Fingerprint, listed, known)
			}
		}
		release()
	}
	s.replace(db, good)
	s.src = patient
	s.mustHaveMetadata(alice, "INBOX", []cyrus.Annotation{{Entry: "/comment", Value: "x"}})
}

// mustHaveMetadata fetches a mailbox, which has this METADATA and one fingerprint, however it is looked at.
func (s *suite) mustHaveMetadata(user, archived string, want []cyrus.Annotation) (fingerprint string) {
	s.Helper()
	s.mailbox(user, archived)
	time.Sleep(s.traits.Settled * 5 / 4)
	m := s.mailbox(user, archived)
	snap, _ := s.mustFetch(m, none)
	var got []cyrus.Annotation
	if file := metadataOf(snap); file != nil {
		var err error
		if got, err = cyrus.ParseAnnotations(file.Data); err != nil || file.Mtime != 0 || file.Inode == 0 || file.Inode > 1<<16 {
			s.Errorf("%s: %+v: %v", archived, file, err)
		}
	}
	if !slices.Equal(got, want) {
		s.Errorf("%s: METADATA is %q, not %q", archived, got, want)
	}
	if m.Fingerprint == "" || m.Fingerprint != snap.Fingerprint {
		s.Errorf("%s: listed %q, fetched %q", archived, m.Fingerprint, snap.Fingerprint)
	}
	return m.Fingerprint
}

// metadataOf finds METADATA in a snapshot.
func metadataOf(snap *source.Snapshot) *source.File {
	i := slices.IndexFunc(snap.Files, func(f source.File) bool { return f.Name == "cyrus.mailbox_annotations" })
	if i < 0 {
		return nil
	}
	return &snap.Files[i]
}

// replace puts another file in the place of one of the server's.
func (s *suite) replace(path string, content []byte) {
	s.Helper()
	var st unix.Stat_t
	cyruslab.Must(s, unix.Stat(path, &st), os.WriteFile(path+".tmp", content, 0o600), os.Chown(path+".tmp", int(st.Uid), int(st.Gid)), os.Rename(path+".tmp", path))
}
