# Every target installs what it is missing: Debian packages by apt-get when root (else it says which), the rest into .venv.

PYTHON ?= python3
ARGS ?=

# How many processes share the tests; 0 runs them one after the other, as `--pdb` needs it.
WORKERS ?= 2

# How long a soak lasts, and what its random choices begin with; an empty seed is a new one.
SECONDS ?= 180
SEED ?=

# What the proxy itself needs. The keyrings are those that signatures are checked against.
RUN_PACKAGES := ca-certificates gpgv debian-archive-keyring
RUN_WELCOME := debian-ports-archive-keyring ubuntu-keyring

# What the tests drive: real clients, a signing key, an archive to publish, fault injection, unit verification.
TEST_PACKAGES := $(RUN_PACKAGES) apt-utils btrfs-progs buildah busybox createrepo-c curl debootstrap dnf docker-registry dpkg-dev \
    fakeroot gawk gnupg iproute2 libarchive-tools makepkg mawk mmdebstrap openssl pacman-package-manager rpm shellcheck skopeo \
    strace systemd xz-utils zypper
TEST_WELCOME := $(RUN_WELCOME)

# What the benches compare with, and what loads both.
BENCH_PACKAGES := $(TEST_PACKAGES) nginx-light wrk

# A python3 with ensurepip needs no package of the distribution's.
PYTHON_PACKAGES := $(shell $(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || echo python3 python3-venv)

BIN := .venv/bin

# Each process gets a run of neighbours, who share their module's fixtures; who is done first takes the other's last half.
SHARED := --numprocesses=$(WORKERS) --dist=worksteal

.DEFAULT_GOAL := help
.PHONY: help run test test-long soak faults check fix bench packages-run packages-test packages-bench

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: packages-run .venv/.run ## start the proxy on 127.0.0.1:3142, no configuration needed
	@exec $(BIN)/snapproxy serve $(ARGS)

test: packages-test .venv/.dev ## every test but the long ones, journeys of real clients included
	$(BIN)/python -m pytest -m "not long and not soak" $(SHARED) $(ARGS)

test-long: packages-test .venv/.dev ## the tests that take minutes
	$(BIN)/python -m pytest -m long $(ARGS)

soak: packages-test .venv/.dev ## minutes of bad weather, many clients and kills at once, for SECONDS
	SOAK_SECONDS=$(SECONDS) SOAK_SEED=$(SEED) $(BIN)/python -m pytest -m soak --capture=no $(ARGS)

faults: packages-test .venv/.dev ## measure anew what apt makes of each fault, into docs/explain/apt-faults.md
	$(BIN)/python -m tests.fakes.fault_table docs/explain/apt-faults.md

check: packages-run .venv/.dev ## lint, format, types, and who may import whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: packages-run .venv/.dev ## repair what lint and format can repair by themselves
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: packages-bench .venv/.dev ## run every bench/bench_*.py and print its table
	@for bench in bench/bench_*.py; do \
	    name=$${bench#bench/}; echo "== $$bench"; $(BIN)/python -m bench.$${name%.py} $(ARGS) || exit 1; \
	done

packages-run:
	@.ci/packages $(PYTHON_PACKAGES) $(RUN_PACKAGES) -- $(RUN_WELCOME)

packages-test:
	@.ci/packages $(PYTHON_PACKAGES) $(TEST_PACKAGES) -- $(TEST_WELCOME)

packages-bench:
	@.ci/packages $(PYTHON_PACKAGES) $(BENCH_PACKAGES) -- $(TEST_WELCOME)

# The stamps are renewed when pyproject.toml changes. `.dev` holds all that `.run` does.
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
