#!/usr/bin/env bash
# make demo: three days of a small server's mail (testdata/spools, written by a real Cyrus 3.6), backed up, mounted, searched,
# restored. Everything happens in a temporary folder; it ends by itself and leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."

export PATH=$PWD/bin:$PATH
spools=$PWD/testdata/spools
dir=$(mktemp -d "${TMPDIR:-/tmp}/backupfs-demo.XXXXXX")
mountpoint_=$dir/mnt

cleanup() {
	cd /
	if mountpoint -q "$mountpoint_"; then fusermount3 -u "$mountpoint_" || fusermount3 -uz "$mountpoint_"; fi
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

die() {
	echo "demo: $*" >&2
	exit 1
}
[ -c /dev/fuse ] || die 'there is no /dev/fuse: load the module (modprobe fuse), or give the container the device'
command -v fusermount3 >/dev/null || die 'there is no fusermount3: apt-get install fuse3'

bold= plain=
if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; fi

# say: what comes next, and why. show: a command as one would type it, then what it prints. show_failing: one that must fail.
say() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }
show() {
	printf '$ %s\n' "$1"
	bash -eu -c "$1" 2>&1
}
show_failing() {
	if show "$1"; then die "that should have failed: $1"; fi
}

# day N: the server as it was at the end of that day, changed in place as a server would: what stays the same is not touched.
day() {
	rm -rf "$dir/unpacked"
	mkdir "$dir/unpacked"
	tar -xzf "$spools/day$1.tar.gz" -C "$dir/unpacked" --warning=no-timestamp
	sed -i "s|@ROOT@|$dir/server|" "$dir/unpacked/imapd.conf"
	rsync -ac --delete --exclude=/run "$dir/unpacked/" "$dir/server/"
}

mkdir "$dir/server" "$mountpoint_"
chmod 755 "$dir" # Cyrus's own ctl_mboxlist, where it is installed, reads as user cyrus
cd "$dir"

say 'Three evenings. A run each, straight from the spool: no daemon, no configuration.'
for n in 1 2 3; do
	day $n
	date=2026-11-$((15 + n))
	show "backupd backup --store store --imapd-conf server/imapd.conf --at ${date}T22:00:00Z"
done

say 'What the store holds: for each user one archive, which any tar reads.'
show 'backupd list --store store alice'
show 'zcat store/users/*/alice/backupdata-*.tar.gz | tar -t | head -3'

say 'The store as a tree of dates.'
show 'backupfs store mnt'
show 'ls mnt mnt/alice'
show 'find mnt/alice/2026-11-16 -type d | sort'

say 'On the second day a folder was renamed, and "Old" deleted and made anew; the old one is still there, below .deleted.'
show 'ls mnt/alice/2026-11-16/INBOX/Projekte mnt/alice/2026-11-17/INBOX/Projekte'
show 'find mnt/alice/2026-11-17/.deleted -type f -name "*."'

say 'Where was that contract? All days are searched as files.'
show 'grep -rl "Bridge Street" mnt/alice/2026-*'

say 'It was deleted on the second day. Here it is, with its bytes and its date.'
show 'ls -l mnt/alice/2026-11-16/INBOX/2.'
show_failing 'ls mnt/alice/2026-11-17/INBOX/2.'
show 'sed -n "/^Subject/p; /^Dear/,\$p" mnt/alice/2026-11-16/INBOX/2.'

say 'Back it comes with cp; or a whole folder with rsync.'
show 'cp -p mnt/alice/2026-11-16/INBOX/2. contract.eml && ls -l contract.eml'
show 'rsync -a mnt/alice/2026-11-16/INBOX/ restored/ && diff -r mnt/alice/2026-11-16/INBOX restored && find restored -type f | wc -l'

say 'Flags, as they were that evening (Cyrus keeps them in cyrus.index).'
show 'backupd dump mnt/alice/2026-11-17/INBOX/cyrus.index | head -12'

say 'Everything read again, every digest compared.'
show 'backupd verify --store store'

say 'That was all.'
show 'fusermount3 -u mnt'
