package restore

import (
	"maps"
	"os"
	"strings"
	"testing"

	"backupfs/cyrus"
	"backupfs/internal/cyruslab"
	"backupfs/lock"
	"backupfs/source"
)

// TestAnnotationsOfOldServer: what a server before 3.6 had as brong's is anna's, what is others' stays theirs, and what the server makes anew stays away. A
// database to which cyr_dbtool does not add is told, though it says that all is well.
func TestAnnotationsOfOldServer(t *testing.T) {
	lab := cyruslab.Start(t, cyruslab.Options{})
	src, err := source.OpenLocal(t.Context(), source.LocalOptions{ConfigPath: lab.Conf})
	cyruslab.Must(t, err)
	uid, gid := src.Owner()
	s := &Spool{src: src, owner: lock.Owner{UID: uid, GID: gid}, user: "anna", was: "brong"}
	path := lab.Dir + "/conf/cyrus.annotations"
	cyruslab.Must(t, s.addRecords(t.Context(), path, "annotation_db", "twoskip", map[string]string{
		"7\x00/comment\x00brong\x00":                         cyrus.AnnotationData("mine", 1),
		"7\x00/comment\x00friend\x00":                        cyrus.AnnotationData("his", 1),
		"7\x00/vendor/cmu/cyrus-imapd/savedate\x00\x00":      cyrus.AnnotationData("1400000000", 1),
		"8\x00/comment\x00\x00":                              cyrus.AnnotationData("of one that stays away", 1),
		"7\x00/vendor/cmu/cyrus-httpd/what\x00[.OwNeR.]\x00": cyrus.AnnotationData("x", 1),
	}, false))
	b, err := os.ReadFile(path)
	cyruslab.Must(t, err)
	got, err := s.messageAnnotations(&Folder{Annotations: b}, cyrus.Mailbox{Name: "user.anna.Work"}, map[uint32]uint32{7: 12}, 5)
	if want := map[string]string{
		"12\x00/comment\x00[.OwNeR.]\x00":                     cyrus.AnnotationData("mine", 5),
		"12\x00/comment\x00friend\x00":                        cyrus.AnnotationData("his", 5),
		"12\x00/vendor/cmu/cyrus-httpd/what\x00[.OwNeR.]\x00": cyrus.AnnotationData("x", 5),
	}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	bin := cyruslab.TempDir(t)
	cyruslab.Must(t, os.WriteFile(bin+"/cyr_dbtool", []byte("#!/bin/sh\ncat > /dev/null\n"), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	if err := s.addRecords(t.Context(), path, "annotation_db", "twoskip", map[string]string{"a": "b"}, false); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("what was not added: %v", err)
	}
}
