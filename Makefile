# What a person types. Everything it needs beyond Rust, Python 3 and a C compiler it installs below the target folder.
#
#   make up      build, and run the sample project; Ctrl-C stops it
#   make test    every test: the rooms, the binary, real clients, real Airflow
#   make check   what CI runs: format, clippy, every test
#   make bench   the figures of the README, measured here
#   make ui      the console's bundle (a stand-in page until it is built)
#   make fuzz    the fuzz targets of fuzz/, a minute each (needs `cargo install cargo-fuzz`)
#   make build   target/release/windtunnel

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.PHONY: up build test check ui bench clients tools fuzz

CARGO  ?= cargo
PYTHON ?= python3
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
BINARY := $(TARGET)/release/windtunnel
# Where the tests' Python clients (boto3, the AWS CLI) are installed.
CLIENTS := $(TARGET)/clients
PROJECT ?= fixtures/projects/hello
# Further arguments of `windtunnel up`: make up ARGS="--aws-addr 127.0.0.1:0"
ARGS ?=

build:
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
test: clients
	export WINDTUNNEL_TEST_CLIENTS=$(CLIENTS); \
	if $(CARGO) nextest --version >/dev/null 2>&1; \
	then $(CARGO) nextest run --locked; \
	else $(CARGO) test --locked; fi

check:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(MAKE) --no-print-directory test

ui:
	if [ -f ui/package.json ]; \
	then cd ui && npm ci --no-audit --no-fund && npm run build; \
	else echo "ui/dist/index.html is the stand-in page; there is nothing to build yet"; fi

bench: build clients
	WINDTUNNEL_TEST_CLIENTS=$(CLIENTS) WINDTUNNEL_BINARY=$(BINARY) benches/s3
	WINDTUNNEL_TEST_CLIENTS=$(CLIENTS) WINDTUNNEL_BINARY=$(BINARY) benches/run

# No code of ours is unsafe, so no sanitizer is needed, and the stable compiler will do.
FUZZ_SECONDS ?= 60
fuzz:
	cd fuzz && export CARGO_TARGET_DIR=$(TARGET)/fuzz && \
	for target in $$($(CARGO) fuzz list --fuzz-dir .); do \
	  mkdir -p corpus/$$target; \
	  $(CARGO) fuzz run --fuzz-dir . --sanitizer none $$target corpus/$$target seeds/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10; \
	done
