#!/usr/bin/env bash
# make fuzz T=10m: each fuzz target for so long. What one finds is kept in the package's testdata/fuzz, and every go test repeats it.
set -euo pipefail
cd "$(dirname "$0")/.."

grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z]*' . | while IFS=: read -r file func; do
	target=${func#func }
	echo "== ${file%/*} $target"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "${file%/*}" </dev/null
done
