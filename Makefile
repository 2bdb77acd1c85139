# What a person types. Everything it needs beyond Rust, Python 3 and a C compiler it installs below the target folder.
#
#   make up      build, and run the sample project; Ctrl-C stops it
#   make test    every test: the rooms, the binary, real clients, real Airflow
#   make test-versions   every Airflow version, started and upgraded
#   make check   what CI runs: format, clippy, every test
#   make bench   the figures of the README, measured here
#   make ui      the console: built by Node into ui/dist/app, and part of the binary (a stand-in page until then)
#   make fuzz    the fuzz targets of fuzz/, a minute each (needs `cargo install cargo-fuzz`)
#   make build   target/release/windtunnel

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.PHONY: up build test test-versions check ui ui-check bench clients tools fuzz

CARGO  ?= cargo
PYTHON ?= python3
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
BINARY := $(TARGET)/release/windtunnel
# Where the tests' Python clients (boto3, the AWS CLI) are installed.
CLIENTS := $(TARGET)/clients
PROJECT ?= fixtures/projects/hello
# Further arguments of `windtunnel up`: make up ARGS="--aws-addr 127.0.0.1:0"
ARGS ?=

build: ui
	$(CARGO) build --release --locked

up: build
	exec $(BINARY) up $(ARGS) $(PROJECT)

tools:
	PYTHON=$(PYTHON) tests/tools

clients: tools $(CLIENTS)/ready
$(CLIENTS)/ready: tests/clients/requirements.txt
	$(PYTHON) -m venv --clear $(CLIENTS) \
	  || { echo "error: $(PYTHON) cannot make a virtual environment"; \
	       echo " next: apt-get install python3-venv, or PYTHON=/path/to/another/python make test"; exit 2; }
	$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

# cargo-nextest is used where it is installed: it shows each test's time and output apart.
test: clients ui-check
	export WINDTUNNEL_TEST_CLIENTS=$(CLIENTS); \
	if $(CARGO) nextest --version >/dev/null 2>&1; \
	then $(CARGO) nextest run --locked; \
	else $(CARGO) test --locked; fi

# Starts every Airflow version of the table, and takes an environment up through those of a major.
test-versions: clients
	export WINDTUNNEL_TEST_CLIENTS=$(CLIENTS) WINDTUNNEL_TEST_VERSIONS=$${WINDTUNNEL_TEST_VERSIONS:-all}; \
	$(CARGO) test --locked --test it -- versions:: --nocapture --test-threads 1

check:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(MAKE) --no-print-directory test

# Nothing is built again that has not changed.
UI_SOURCES := $(filter-out ui/dist/% ui/node_modules/%,$(shell find ui -name node_modules -prune -o -name dist -prune -o -type f -print))
ui: ui/dist/app/index.html
ui/node_modules/ready: ui/package-lock.json ui/.npmrc
	command -v npm >/dev/null \
	  || { echo "error: the console is built by Node, which is not here"; \
	       echo " next: install Node 20 (apt-get install nodejs npm); \`cargo build --release\` builds without the console"; exit 2; }
	cd ui && npm ci --no-audit --no-fund --loglevel=error
	touch $@
ui/dist/app/index.html: ui/node_modules/ready $(UI_SOURCES)
	cd ui && npm run --silent build
	touch $@

ui-check: tools ui
	cd ui && npm run --silent check

bench: build clients
	WINDTUNNEL_TEST_CLIENTS=$(CLIENTS) WINDTUNNEL_BINARY=$(BINARY) benches/s3
	WINDTUNNEL_TEST_CLIENTS=$(CLIENTS) WINDTUNNEL_BINARY=$(BINARY) benches/logs
	WINDTUNNEL_TEST_CLIENTS=$(CLIENTS) WINDTUNNEL_BINARY=$(BINARY) benches/run
	WINDTUNNEL_BINARY=$(BINARY) benches/loop

# No code of ours is unsafe, so no sanitizer is needed, and the stable compiler will do.
FUZZ_SECONDS ?= 60
fuzz:
	cd fuzz && export CARGO_TARGET_DIR=$(TARGET)/fuzz && \
	for target in $$($(CARGO) fuzz list --fuzz-dir .); do \
	  mkdir -p corpus/$$target; \
	  $(CARGO) fuzz run --fuzz-dir . --sanitizer none $$target corpus/$$target seeds/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10; \
	done
