package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// system is a way to keep a backup of a spool and to read it. Its commands are for sh, in the spool's folder, and find
// there: $CONF, the server's configuration; $REPO, a folder of its own; $DAY, 1 or 2; $BIN, our programs; $SELF, this
// one; $MNT, where to mount.
type system struct {
	name     string
	always   bool   // no peer: measured whatever -only says, and must not fail
	needs    string // a program: without it the system is left out
	init     string // makes the repository, if that is no part of the first backup
	save     string // backs the spool up
	backup   bool   // as a person would do it, day by day: measured beside ours
	cache    string // ending of the files in $REPO that are none of the backup
	mount    string // mounts the last backup and stays in front, if it has a process
	inMemory bool   // it reads all of that before it answers: neither how soon nor its memory is a figure
	tree     string // where in the mount a user's mail lies, %s his name; empty: as in the spool
}

var systems = []system{
	{name: "spool", always: true},
	{name: "backupfs", always: true, backup: true, cache: ".sqlite3",
		save:  `exec "$BIN/backupd" backup -q --store "$REPO/store" --imapd-conf "$CONF"`,
		mount: `exec "$BIN/backupfs" -f "$REPO/store" "$MNT"`, tree: "%s/latest/INBOX"},
	{name: "floor", always: true, mount: `exec "$SELF" floor "$PWD" "$MNT"`, inMemory: true},
	{name: "tar czf", needs: "tar", backup: true, // per user, one after the other
		save: `for u in */user/*; do tar czf "$REPO/$DAY-$(basename "$u").tar.gz" -C "$u" .; done`},
	{name: "squashfs", needs: "mksquashfs", backup: true, save: `exec mksquashfs . "$REPO/$DAY" -quiet -no-progress`,
		mount: `mount -t squashfs -o loop,ro "$REPO/1" "$MNT"`},
	{name: "squashfuse", needs: "squashfuse", save: `exec mksquashfs . "$REPO/1" -quiet -no-progress`,
		mount: `exec squashfuse -f "$REPO/1" "$MNT"`},
	{name: "fuse-archive", needs: "fuse-archive", save: oneTar, mount: `exec fuse-archive -f "$REPO/all.tar.gz" "$MNT"`},
	{name: "ratarmount", needs: "ratarmount", save: oneTar + ` && ratarmount "$REPO/all.tar.gz" "$MNT" && umount "$MNT"`,
		mount: `exec ratarmount -f "$REPO/all.tar.gz" "$MNT"`},
	{name: "archivemount", needs: "archivemount", save: oneTar, mount: `exec archivemount -f -o readonly "$REPO/all.tar.gz" "$MNT"`},
	{name: "restic", needs: "restic", backup: true, init: `restic init -q`, save: `exec restic backup -q .`,
		mount: `exec restic mount "$MNT"`, tree: "snapshots/latest"},
	{name: "borg", needs: "borg", backup: true, init: `borg init -e none`, save: `exec borg create -C zstd,3 "::$DAY" .`,
		mount: `exec borg mount -f ::1 "$MNT"`},
	{name: "bup", needs: "bup", backup: true, init: `bup init`, save: `bup index . && exec bup save -q --strip -n spool .`,
		mount: `exec bup fuse -f "$MNT"`, tree: "spool/latest"},
}

const oneTar = `tar czf "$REPO/all.tar.gz" .`

// env is what a system's commands find.
func (b *bench) env(s *system, repo string, sp *spool, day int) []string {
	cache := repo + ".cache" // of restic and borg; beside the repository: it is no part of the backup
	return append(os.Environ(), "CONF="+sp.conf, "REPO="+repo, fmt.Sprint("DAY=", day), "BIN="+b.bin, fmt.Sprintf("SELF=/proc/%d/exe", os.Getpid()), "MNT="+b.mountPoint(s),
		"RESTIC_REPOSITORY="+filepath.Join(repo, "restic"), "RESTIC_PASSWORD=bench", "RESTIC_CACHE_DIR="+cache,
		"BORG_REPO="+filepath.Join(repo, "borg"), "BORG_BASE_DIR="+cache, "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes",
		"BUP_DIR="+filepath.Join(repo, "bup"), "SQUASHFUSE_NOFORK=1")
}

// shell is a command of a system, for the spool of this day.
func (b *bench) shell(script string, s *system, repo string, sp *spool, day int) *exec.Cmd {
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir, cmd.Env = sp.root, b.env(s, repo, sp, day)
	return cmd
}

// chosen are the systems that were asked for and are installed.
func chosen(only []string) (list []*system) {
	for i := range systems {
		s := &systems[i]
		if !s.always && len(only) > 0 && !slices.Contains(only, s.name) {
			continue
		}
		if s.needs != "" {
			if _, err := exec.LookPath(s.needs); err != nil {
				fmt.Fprintf(os.Stderr, "bench: %s is not installed, and left out\n", s.needs)
				continue
			}
		}
		list = append(list, s)
	}
	return list
}

// create makes a system's empty repository in a folder that is not there.
func (b *bench) create(s *system, repo string, sp *spool) error {
	if err := os.MkdirAll(repo, 0o700); err != nil || s.init == "" {
		return err
	}
	_, err := timed(b.shell(s.init, s, repo, sp, 1))
	return err
}

// repo is where a system's backup of the spool lies that is read.
func (b *bench) repo(s *system) string { return filepath.Join(b.dir, s.name) }

// prepare makes that backup, unless an earlier run did.
func (b *bench) prepare(s *system) error {
	done := b.repo(s) + ".done" // a repository without it is not whole
	if _, err := os.Stat(done); err == nil || s.save == "" {
		return nil
	}
	if err := os.RemoveAll(b.repo(s)); err != nil {
		return err
	}
	if err := os.MkdirAll(b.mountPoint(s), 0o700); err != nil {
		return err
	}
	if err := b.create(s, b.repo(s), b.spool); err != nil {
		return err
	}
	if _, err := timed(b.shell(s.save, s, b.repo(s), b.spool, 1)); err != nil {
		return err
	}
	return os.WriteFile(done, nil, 0o600)
}
