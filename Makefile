# Each target installs its missing requirements: Debian packages with apt-get as root (otherwise it prints their names),
# Python packages into .venv.

PYTHON ?= python3
ARGS ?=

# Number of test processes; 0 runs the tests in one process, which `--pdb` needs.
WORKERS ?= 2

# Folders with a program `apk` for `make clients`, one for each version. Debian has no package of it.
APK ?=

# Duration of a stress test in seconds, and its random seed; an empty seed means a new one.
SECONDS ?= 180
SEED ?=

# Requirements of the proxy. The keyrings are used to check signatures. Welcome packages are optional.
RUN_PACKAGES := ca-certificates gpgv debian-archive-keyring
RUN_WELCOME := debian-ports-archive-keyring ubuntu-keyring

# Requirements of the tests: real clients, signing, publishing an archive, fault injection, unit verification.
TEST_PACKAGES := $(RUN_PACKAGES) apt-utils avahi-daemon avahi-utils btrfs-progs buildah busybox chromium \
    createrepo-c curl dbus debhelper debootstrap dnf docker-registry dpkg-dev fakeroot fish gawk gnupg iproute2 \
    libarchive-tools lintian makepkg man-db mawk mmdebstrap openssl pacman-package-manager pngquant prometheus \
    python3-pip rpm shellcheck skopeo strace systemd tinyproxy xz-utils zsh zypper
TEST_WELCOME := $(RUN_WELCOME)

# Requirements of the benches: the server to compare with, and the load generator.
BENCH_PACKAGES := $(TEST_PACKAGES) nginx-light wrk

# A python3 with ensurepip needs no distribution package.
PYTHON_PACKAGES := $(shell $(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || echo python3 python3-venv)

# Requirements of the Debian package.
DEB_PACKAGES := debhelper dpkg-dev python3 python3-pip

BIN := .venv/bin

# Each process gets consecutive tests, which share the fixtures of a module; an idle process takes over half of the
# remaining tests of another.
SHARED := --numprocesses=$(WORKERS) --dist=worksteal

.DEFAULT_GOAL := help
.PHONY: help run manuals test test-long soak faults clients pictures docs check fix bench deb packages-run packages-test packages-bench

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: packages-run .venv/.run ## start the proxy on 127.0.0.1:3142; no configuration needed
	@exec $(BIN)/snapproxy serve $(ARGS)

test: packages-test .venv/.dev ## run all tests except the long ones, including those with real clients
	$(BIN)/python -m pytest -m "not long and not soak" $(SHARED) $(ARGS)

test-long: packages-test .venv/.dev ## run the tests that take minutes
	$(BIN)/python -m pytest -m long $(ARGS)

soak: packages-test .venv/.dev ## run the stress test for SECONDS: upstream faults, many clients, killed processes
	SOAK_SECONDS=$(SECONDS) SOAK_SEED=$(SEED) $(BIN)/python -m pytest -m soak --capture=no $(ARGS)

faults: packages-test .venv/.dev ## measure the behaviour of apt for each fault again, into docs/explain/apt-faults.md
	$(BIN)/python -m tests.fakes.fault_table docs/explain/apt-faults.md

clients: packages-test .venv/.dev ## measure whether each client is pinned, into docs/explain/client-matrix.md
	$(BIN)/python -m tests.fakes.client_matrix docs/explain/client-matrix.md $(APK)

pictures: packages-test .venv/.dev ## take pictures of the pages with Chromium, into docs/pictures
	$(BIN)/python -m tests.fakes.page_pictures docs/pictures

docs: packages-run .venv/.dev ## generate the reference pages and build the site into build/site, with checked links
	$(BIN)/python -B -m docs.generate_reference
	$(BIN)/zensical build --clean --strict

check: packages-run .venv/.dev ## check lint, format, types and import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: packages-run .venv/.dev ## repair lint findings and format where possible
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: packages-bench .venv/.dev ## run every bench/bench_*.py and print its table
	@for bench in bench/bench_*.py; do \
	    name=$${bench#bench/}; echo "== $$bench"; $(BIN)/python -m bench.$${name%.py} $(ARGS) || exit 1; \
	done

manuals: packages-run .venv/.dev ## generate the man pages and completions into build/man and build/completions
	$(BIN)/python -B -m docs.generate_manuals

deb: manuals ## build the Debian package, into the folder above this one
	@.ci/packages $(DEB_PACKAGES)
	dpkg-buildpackage -us -uc -b

packages-run:
	@.ci/packages $(PYTHON_PACKAGES) $(RUN_PACKAGES) -- $(RUN_WELCOME)

packages-test:
	@.ci/packages $(PYTHON_PACKAGES) $(TEST_PACKAGES) -- $(TEST_WELCOME)

packages-bench:
	@.ci/packages $(PYTHON_PACKAGES) $(BENCH_PACKAGES) -- $(TEST_WELCOME)

# The stamps are renewed when pyproject.toml changes. `.dev` includes everything of `.run`.
.venv/.python: | packages-run
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "$$($(PYTHON) --version) is too old: snapproxy needs 3.11 or later. Try: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.run: pyproject.toml | .venv/.python
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/.dev: pyproject.toml | .venv/.python
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ .venv/.run
