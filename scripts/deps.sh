#!/usr/bin/env bash
# Installs the Debian packages that a make target needs, as far as they are missing: deps.sh build|demo|test|bench
#
# build: what compiles the two programs. demo: and what mounts and shows a store.
# test: and the servers, Cyrus and PostgreSQL, that the tests start for themselves, in temporary folders, and a browser.
# bench: demo, a Cyrus to restore to, and what the two programs are measured beside, as far as this Debian has it.
set -euo pipefail

build=(make gcc libc6-dev libdeflate-dev ca-certificates)
demo=("${build[@]}" fuse3 rsync attr tar gzip)
test=("${demo[@]}" btrfs-progs chromium cyrus-imapd groff-base openssl postgresql python3 samba samba-vfs-modules smbclient sqlite3 systemd)
# python3-llfuse and python3-fuse are what borg and bup mount with.
peers=(squashfs-tools squashfuse archivemount fuse-archive ratarmount restic borgbackup python3-llfuse bup python3-fuse)

case ${1:-} in
build) want=("${build[@]}") ;;
demo) want=("${demo[@]}") ;;
test) want=("${test[@]}") ;;
bench) want=("${demo[@]}" cyrus-imapd "${peers[@]}") ;;
*)
	echo "usage: deps.sh build|demo|test|bench" >&2
	exit 2
	;;
esac

if ! command -v go >/dev/null; then
	echo "deps.sh: go is not in PATH; Go 1.26 or later is needed (https://go.dev/dl/)" >&2
	exit 1
fi
if ! command -v dpkg-query >/dev/null; then
	echo "deps.sh: no Debian; install by hand what these packages hold: ${want[*]}" >&2
	exit 0
fi

missing=()
for p in "${want[@]}"; do
	[ "$(dpkg-query -Wf '${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || missing+=("$p")
done
[ ${#missing[@]} -gt 0 ] || exit 0

root=()
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "deps.sh: as root, please: apt-get install ${missing[*]}" >&2
		exit 1
	fi
	root=(sudo)
fi

# A server that the package starts by itself would be a second one, and nobody's: no service starts meanwhile.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	trap '"${root[@]}" rm -f $policy' EXIT
	printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee $policy >/dev/null
	"${root[@]}" chmod 755 $policy
fi

apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)
echo "deps.sh: installing ${missing[*]}" >&2
# An update each time: a list that is old names versions which the mirror no longer has.
"${apt[@]}" update </dev/null >&2
if [ "$1" = bench ]; then # no release has all peers: those it lacks are not measured
	had=()
	for p in "${missing[@]}"; do
		[ -z "$(apt-cache madison "$p")" ] || had+=("$p")
	done
	[ ${#had[@]} -gt 0 ] || exit 0
	missing=("${had[@]}")
fi
"${apt[@]}" install --no-install-recommends "${missing[@]}" </dev/null >&2
