#!/usr/bin/env bash
# make check: every check runs, also after one that failed; the last line says how it went.
set -uo pipefail
cd "$(dirname "$0")/.."

tools=$PWD/.cache/tools
failed=()

# run NAME COMMAND...: a check that prints anything, or fails, has failed.
run() {
	local name=$1 out rc=0
	shift
	out=$("$@" 2>&1) || rc=$?
	if [ $rc -ne 0 ] || [ -n "$out" ]; then
		printf '== %s\n%s\n' "$name" "$out"
		failed+=("$name")
	else
		printf 'ok %s\n' "$name"
	fi
}

gofiles() { find . -name '*.go' -not -path './.cache/*' -print0; }
unformatted() { gofiles | xargs -0 gofmt -l; }
install_tools() { (cd tools && GOBIN=$tools go install tool); }

# First, and by the one command that does not say what it downloads: to the checks, what is printed is a fault.
modules() { go mod download && (cd tools && go mod download); }

docs_differ() {
	diff -u docs/cli.md <(go run ./cmd/backupd gendoc) || echo 'docs/cli.md is not what the commands say of themselves: make docs'
}

# Whole program: what no command and no test reaches.
dead() { "$tools/deadcode" -test ./...; }
errors_dropped() { "$tools/errcheck" -ignoretests -exclude scripts/errcheck.txt ./...; }

run modules modules
run gofmt unformatted
run vet go vet ./...
run tools install_tools
run staticcheck "$tools/staticcheck" ./...
run errcheck errors_dropped
run deadcode dead
run arrows scripts/arrows.sh
run rules scripts/rules.sh
run docs docs_differ

if [ ${#failed[@]} -gt 0 ]; then
	echo "make check: failed: ${failed[*]}"
	exit 1
fi
echo "make check: all passed"
