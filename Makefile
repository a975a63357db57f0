# make build   the two programs, into bin/
# make demo    three days of a real server's mail, backed up, mounted, searched, restored: under a minute
# make test    all tests, against a Cyrus server that they start themselves
# make check   formatting, vet, linters, import arrows, house rules, generated docs
# make bench   speed and size beside tar, find, grep, cp (BENCH_MESSAGES=3000 for a quick look)
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

# Packages whose goroutines share memory: tested once more under the race detector.
RACE := ./archive ./backup ./fs ./source/... ./lock

.PHONY: build demo test race check lint docs bench fixtures clean

build:
	@scripts/deps.sh build
	go build -o bin/ ./cmd/backupd ./cmd/backupfs

demo:
	@scripts/deps.sh demo
	@go build -o bin/ ./cmd/backupd ./cmd/backupfs
	@scripts/demo.sh

test:
	@scripts/deps.sh test
	go test -count=1 -timeout 25m ./...

race:
	@scripts/deps.sh test
	go test -race -count=1 -timeout 25m $(RACE)

check:
	@scripts/deps.sh build
	@scripts/check.sh

docs:
	@scripts/deps.sh build
	go run ./cmd/backupd gendoc > docs/cli.md

bench:
	@scripts/deps.sh demo
	@go build -o bin/ ./cmd/backupd ./cmd/backupfs
	@go run ./internal/bench -bin bin $(if $(BENCH_MESSAGES),-messages $(BENCH_MESSAGES)) $(BENCH_FLAGS)

fixtures:
	@scripts/deps.sh test
	go run ./internal/mkspool testdata/spools

clean:
	rm -rf bin .cache
