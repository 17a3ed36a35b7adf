# Everything from a fresh clone to a running call. Each target first installs and builds what it needs, says so, and
# does no set-up again the next time.

MAKEFLAGS += --no-print-directory --no-builtin-rules
STAMPS := build/stamps
SETUP := tests/setup
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest tests --dist worksteal --durations 20
PAGE := hub/web/dist/index.html
PAGE_SOURCES := $(shell find hub/web -path hub/web/node_modules -prune -o -path hub/web/dist -prune -o -type f -print)

# How long the demo runs, in seconds; empty = until Ctrl-C.
DURATION ?=
# Where the demo's room server listens.
LISTEN ?= 127.0.0.1:7880
# Where `make conformance` finds a checkout of github.com/livekit/python-sdks.
CHECKOUT ?=
# Where `make install` puts the files.
DESTDIR ?=

.PHONY: help run build test unit system livekit-server lab bench conformance docs deb install format clean
.DEFAULT_GOAL := help
.NOTPARALLEL:

help: ## lists the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1@/p' Makefile | column -t -s @

run: build $(STAMPS)/packages-run ## two devices in a room, a web page to join them; DURATION=20 ends by itself, LISTEN=IP:PORT
	@target/release/demo --listen $(LISTEN) $(if $(DURATION),--duration $(DURATION))

build: $(STAMPS)/packages-build $(STAMPS)/toolchain $(PAGE) ## zegod, zegohub, zegoctl and the tools, in target/release
	@[ -e $(STAMPS)/built ] || echo "== Building zegod, zegohub and zegoctl (the first time takes some minutes)"
	@cargo build --release --workspace --bins $(if $(wildcard $(STAMPS)/built),--quiet)
	@mkdir -p $(STAMPS) && touch $(STAMPS)/built

test: unit system lab ## every test: the crates' own, the whole system's, the virtual device

unit: build ## the crates' own tests
	@echo "== Testing the crates"
	@cargo test --release --workspace --quiet

system: build $(STAMPS)/packages-run $(STAMPS)/packages-test $(STAMPS)/venv livekit-server ## the tests across real processes (tests/)
	@echo "== Testing the whole system: four tests at a time, then those that need half of the machine, then those that need all of it"
	@failed=0; \
	$(PYTEST) -m "not alone and not paired" -n 4 || failed=1; \
	$(PYTEST) -m paired -n 2 || failed=1; \
	$(PYTEST) -m alone || failed=1; \
	exit $$failed

livekit-server:
	@$(SETUP)/livekit-server

lab: deb $(STAMPS)/packages-lab ## installs the packages in a virtual device with real cameras and sound cards, and makes a call
	@echo "== Testing in the virtual device"
	@tests/lab/run

bench: build $(STAMPS)/packages-run $(STAMPS)/packages-test $(STAMPS)/venv livekit-server ## what a call costs beside the bare codecs, and the hub beside livekit-server; tables, and build/bench/*.json
	@$(PYTHON) tests/bench/run.py
	@$(PYTHON) tests/bench/load.py

conformance: build $(STAMPS)/packages-run $(STAMPS)/packages-test $(STAMPS)/venv livekit-server ## the test suite of LiveKit's python-sdks on the hub and on livekit-server; CHECKOUT=DIRECTORY
	@$(PYTHON) tests/conformance/python_sdks.py $(CHECKOUT)

docs: build $(STAMPS)/packages-run $(STAMPS)/packages-test $(STAMPS)/venv ## what is made from the programs: docs/reference/dbus.md, errors.md, the manual pages
	@$(PYTHON) docs/generator/dbus.py
	@$(PYTHON) docs/generator/manual.py
	@WRITE_DOCUMENTS=1 cargo test --release --quiet -p zego-protocol --test errors_document

deb: build $(STAMPS)/packages-deb ## the three Debian packages, in build/deb
	@echo "== Packaging"
	@debian/make-packages build/deb

install: build ## the files of the packages without a package; DESTDIR=
	@debian/install-files "$(DESTDIR)"

format: ## formats the sources
	@cargo fmt --all

clean: ## removes what was built and set up, but for Cargo's folder (cargo clean)
	@rm -rf build .venv hub/web/dist hub/web/node_modules

# Set-up, each step once.

$(STAMPS)/packages-%: $(SETUP)/packages.txt
	@$(SETUP)/debian-packages $*
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/toolchain: Cargo.toml
	@$(SETUP)/toolchain
	@mkdir -p $(STAMPS) && touch $@

hub/web/node_modules/.installed: hub/web/package.json hub/web/package-lock.json $(STAMPS)/toolchain
	@echo "== Installing the web page's npm packages"
	@cd hub/web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(PAGE): hub/web/node_modules/.installed $(PAGE_SOURCES)
	@echo "== Building the web page"
	@cd hub/web && npm run --silent build
	@touch $@

$(STAMPS)/venv: tests/requirements.txt $(STAMPS)/packages-test
	@echo "== Installing the tests' Python packages in .venv"
	@[ -x $(PYTHON) ] || python3 -m venv .venv
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@mkdir -p $(STAMPS) && touch $@
