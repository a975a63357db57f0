#!/usr/bin/env bash
# Checks each package's imports against the table "Arrows" in DEVELOPERS.md, which is the rule.
# Tests may import what they like: external test packages make no cycle and are in no program.
set -euo pipefail
cd "$(dirname "$0")/.."

module=$(go list -m)
go list -f '{{.ImportPath}} {{join .Imports " "}}' ./... | awk -v module="$module" '
# A row of the table: | `package` | `may` `import` … |; "…" behind a name stands for all below it.
FILENAME == "DEVELOPERS.md" {
	if ($0 ~ /^## /) table = ($0 == "## Arrows")
	if (!table || $0 !~ /^\| `/) next
	split($0, cell, "|")
	gsub(/[` ]/, "", cell[2])
	gsub(/`/, "", cell[3])
	order[++rows] = cell[2]
	allowed[cell[2]] = cell[3]
	next
}
function matches(pattern, pkg) {
	if (pattern ~ /\/…$/) { sub(/…$/, "", pattern); return index(pkg "/", pattern) == 1 }
	return pattern == pkg
}
# The first row that fits counts.
function row(pkg,   i) {
	for (i = 1; i <= rows; i++) if (matches(order[i], pkg)) return order[i]
	return ""
}
{
	pkg = substr($1, length(module) + 2)
	r = row(pkg)
	if (r == "") { print pkg ": not in the table of arrows in DEVELOPERS.md"; bad = 1; next }
	n = split(allowed[r], may, " ")
	for (i = 2; i <= NF; i++) {
		if (index($i, module "/") != 1) continue
		dep = substr($i, length(module) + 2)
		ok = matches(r, dep)
		for (j = 1; j <= n; j++) if (matches(may[j], dep)) ok = 1
		if (!ok) { print pkg " imports " dep ", against the arrows in DEVELOPERS.md"; bad = 1 }
	}
}
END { exit bad }
' DEVELOPERS.md -
