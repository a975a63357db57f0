#!/usr/bin/env bash
# make torture T=10m: the tests of crashes, faults, damage and load, each that goes on for as long as it may for so long; at the end, what they did.
set -euo pipefail
cd "$(dirname "$0")/.."

BACKUPFS_TORTURE=$(($(sed 's/h$/*3600/; s/m$/*60/; s/s$//' <<<"$1")))
export BACKUPFS_TORTURE
said=$(mktemp)
trap 'rm -f "$said"' EXIT
failed=0
torture() { go test -count=1 -timeout 0 -v "$@" | tee -a "$said" || failed=1; }

torture -run 'TestDamageMatrix|TestWrongTar|TestPowerLoss|TestCommitFaults|TestRepair|TestCompact|TestCancelled|TestLastRunLost|Histories' ./backup
torture -run TestKilled ./internal/e2e
torture -race -run TestLoad ./cmd/backupfs

printf '\n== what was done; BACKUPFS_SEED=N repeats a test\n'
grep -E '^ *--- |^ +[a-z_]+_test\.go:[0-9]+: (BACKUPFS_SEED|.*[0-9])' "$said" | sed -E 's/^ +[a-z_]+_test\.go:[0-9]+: /    /; s/^ *--- /  /' || true
exit $failed
