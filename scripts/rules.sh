#!/usr/bin/env bash
# House rules that no linter knows: each a search that must find nothing, with the reason that is printed if it does.
set -uo pipefail
shopt -s lastpipe # report, the last of a pipe, sets bad in this shell
cd "$(dirname "$0")/.."

bad=0
# Files of the project: what git tracks or would track; all but build results where there is no git.
files() {
	if git rev-parse --git-dir >/dev/null 2>&1; then
		git ls-files -z --cached --others --exclude-standard -- "$@"
	else
		find . \( -path ./bin -o -path ./.cache \) -prune -o -type f -printf '%P\0' |
			case ${1:-} in '') cat ;; *) grep -zE "$(printf '%s' "$1" | sed 's/\./\\./g; s/\*/.*/g')\$" ;; esac
	fi
}
# go_files: products only; test_files: tests only.
go_files() { files '*.go' | grep -zv '_test\.go$'; }
test_files() { files '*.go' | grep -z '_test\.go$'; }

# report REASON: fails with the reason if standard input holds anything.
report() {
	local found
	found=$(cat)
	[ -n "$found" ] || return 0
	printf '%s\n%s\n\n' "$1" "$found"
	bad=1
}
search() { xargs -0r grep -nE "$@" /dev/null; }

# A durable.File is asked to sync; an os.File never. Which of both it is, a search tells by what else the file opens.
go_files | grep -zvE '^internal/(durable|bench)/' | xargs -0r grep -lZ '\.Sync()' | while IFS= read -rd '' f; do
	if ! grep -q '"backupfs/internal/durable"' "$f" || grep -qE 'os\.(Create|CreateTemp|Open|OpenFile|NewFile|File)\b' "$f"; then
		grep -Hn '\.Sync()' "$f"
	fi
done |
	report 'Only internal/durable syncs: it knows that a failed fsync must not be tried again.'

go_files | grep -zv '^cmd/' | grep -zvE '^internal/(bench|mkman|mkspool)/' | search 'os\.Exit\(|log\.Fatal' |
	report 'Only commands end the process: a library returns an error, so that callers can clean up.'

go_files | grep -zv '^cmd/' | grep -zvE '^internal/(bench|mkman|mkspool)/' | search 'fmt\.Print|os\.Stdout|os\.Stderr' |
	report 'Libraries print nothing: what a user sees is the command'"'"'s to say.'

# go statements outside an errgroup: in types whose Close (or Wait) waits for them. A file is listed with what waits.
joined='
archive/deflater.go stop
internal/cyruslab/lab.go Stop
internal/bench/measure.go withPeak
internal/bench/mount.go unmount
'
go_files | grep -zvFf <(printf '%s' "$joined" | sed '/^$/d; s/ .*//') | search '^[[:space:]]*go (func|[A-Za-z_][A-Za-z0-9_.]*\()' |
	report 'A goroutine belongs to an errgroup, or to a type whose Close waits for it (then: list the file in scripts/rules.sh with what waits).'

files '*.go' | search '\bt\.Skip(f|Now)?\(|\btb?\.Skip(f|Now)?\(' |
	report 'No test is skipped: what it needs is installed by scripts/deps.sh, or it fails and says what is missing.'

test_files | search '\brapid\.(Check|MakeCheck)\(' |
	report 'Properties are checked by testenv.Check: the same draws each time, others under make torture.'

files '*.go' '*.sh' Makefile | grep -zv '^scripts/rules\.sh$' | search '\b(TODO|FIXME|XXX|HACK)\b' |
	report 'No notes to oneself: do it, or file an issue.'

go_files | search '// cyrus:' | grep -vE '// cyrus: [A-Za-z0-9_./-]+/[A-Za-z0-9_.-]+( [A-Za-z0-9_:]+)?' |
	report 'A fact of Cyrus names its source: "// cyrus: imap/mailbox.c mailbox_lock_index".'

files | { xargs -0r stat -c '%s %n' 2>/dev/null || true; } | awk '$1 > 524288' |
	report 'Nothing over 512 KiB is committed: make it smaller, or make it in the test.'

files | { LC_ALL=C xargs -0r grep -lsazP '^\x7fELF' || true; } |
	report 'No program is committed: make build makes it.'

exit $bad
