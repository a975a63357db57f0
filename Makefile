# make build   the two programs, and their man pages, into bin/
# make install   both, below PREFIX (/usr/local)
# make demo    three days of a real server's mail, backed up, mounted, searched, restored: under a minute
# make test    all tests, against a Cyrus server that they start themselves
# make torture   kills, faults, damage for as long as T says (10m): docs/durability.md
# make fuzz    each fuzz target a little, a minute in all; T=10m: each for so long
# make check   formatting, vet, linters, import arrows, house rules, generated docs
# make bench   speed and size beside the spool, tar, restic, borg and others (BENCH_MESSAGES=3000 for a quick look)
# make docs    docs/cli.md from the commands' own help
# make fixtures  testdata/spools anew, from a Cyrus server

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
MAKEFLAGS += --no-print-directory

# What real servers wrote, for the tests. They say so where they need it and it is not there.
ifneq ($(wildcard ../shared/fixtures/README.md),)
export CYRUS_FIXTURES ?= $(abspath ../shared/fixtures)
endif

# Packages whose goroutines share memory: tested once more under the race detector. The program that cmd/backupfs mounts with has it, too.
RACE := ./agent ./archive ./backup ./cmd/backupfs ./fs ./restore ./schedule/... ./source/... ./lock

.PHONY: build install demo test race torture fuzz check lint docs bench fixtures clean

build:
	@scripts/deps.sh build
	go build -o bin/ ./cmd/backupd ./cmd/backupfs
	@go run ./internal/mkman

PREFIX ?= /usr/local
install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1
	install bin/backupd bin/backupfs $(DESTDIR)$(PREFIX)/bin
	install -m 644 bin/man/man1/*.1 $(DESTDIR)$(PREFIX)/share/man/man1

demo:
	@scripts/deps.sh demo
	@go build -o bin/ ./cmd/backupd ./cmd/backupfs
	@scripts/demo.sh

test:
	@scripts/deps.sh test
	go test -count=1 -timeout 45m ./...
	go test -count=1 -tags purego ./internal/deflate ./internal/pagecache

race:
	@scripts/deps.sh test
	BACKUPFS_STRESS_SECONDS=$${BACKUPFS_STRESS_SECONDS:-60} go test -race -count=1 -timeout 45m $(RACE)

# T is in seconds, minutes or hours. BACKUPFS_SEED=N repeats the kills of an earlier one.
T ?= 10m
torture:
	@scripts/deps.sh test
	@scripts/torture.sh $(T)

fuzz:
	@scripts/deps.sh test
	@scripts/fuzz.sh $(if $(filter command%,$(origin T)),$(T))

check:
	@scripts/deps.sh build
	@scripts/check.sh

docs:
	@scripts/deps.sh build
	go run ./cmd/backupd gendoc > docs/cli.md

bench:
	@scripts/deps.sh bench
	@go build -o bin/ ./cmd/backupd ./cmd/backupfs
	@go run ./internal/bench -bin bin $(if $(BENCH_MESSAGES),-messages $(BENCH_MESSAGES) -n 3) $(BENCH_FLAGS)

fixtures:
	@scripts/deps.sh test
	go run ./internal/mkspool testdata/spools

clean:
	rm -rf bin .cache
