#!/usr/bin/env bash
# make fuzz: each fuzz target as often as it takes about four seconds, as .ci/run does; make fuzz T=10m: each for so long. What one finds is kept in
# the package's testdata/fuzz, and every go test repeats it.
#
# Without T nothing depends on a clock: a machine that is busy takes longer, and fails nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

# Those that do not make 10,000 calls a second, by what one costs: a spool is asked, an archive is read in ten ways, a configuration is a file.
declare -A times=([FuzzSession]=1500 [FuzzScan]=2500 [FuzzLoadConfig]=10000 [FuzzInflate]=20000)
T=${1:-}

built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
cache=$built/corpus minimize=200x # not what an earlier one found: how long it takes does not grow
[ -z "$T" ] || cache=$(go env GOCACHE)/fuzz minimize=60s
failed=()
while IFS=: read -r file func; do
	dir=${file%/*} target=${func#func }
	test=$built/${dir//\//_}
	[ -x "$test" ] || go test -c -fuzz . -o "$test" "$dir"
	echo "== $dir $target"
	(cd "$dir" && "$test" -test.run '^$' -test.fuzz "^$target\$" -test.fuzzcachedir "$cache/$dir" -test.fuzztime "${T:-${times[$target]:-40000}x}" \
		-test.fuzzminimizetime "$minimize" </dev/null) || failed+=("$dir $target")
done < <(grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z]*' .)

# Which input does it, and how to repeat it, stands with each.
for f in "${failed[@]}"; do echo "make fuzz: failed: $f; git status shows the input, in testdata/fuzz"; done
[ ${#failed[@]} -eq 0 ]
