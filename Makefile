# `make demo` and `make test` do all set-up themselves. `make help` lists the rest.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUST   := $(wildcard checkers/core/src/*.rs checkers/core/src/*/*.rs) checkers/core/Cargo.toml checkers/core/Cargo.lock

unexport PYTHONDONTWRITEBYTECODE  # each file is compiled once, not anew in each of a thousand processes

.DEFAULT_GOAL := help
.PHONY: help demo test quick kinds chaos check format nightly wheel-test mutants configurations bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

demo: $(VENV)/.built ## show which configurations keep their promise (simulator, about a minute)
	$(BIN)/quorate demo

test: $(VENV)/.built $(VENV)/.host-tools $(VENV)/.browser-tools $(VENV)/.lint-tools ## run every test, local hosts and the installed wheel among them
	cd checkers/core && cargo test --quiet --no-default-features
	$(BIN)/pytest -n 3 --dist loadgroup  # for two processors: one of the workers waits for hosts (tests/conftest.py)
	$(BIN)/pytest -n 2 -q campaigns/smoke.toml

quick: $(VENV)/.built ## run the tests that take under a second each and need no root
	$(BIN)/pytest -n 2 -m "not slow and not hosts"

kinds: $(VENV)/.built $(VENV)/.host-tools ## run the tests on containers and on emulated machines, and those of the Vagrantfile (as root; fetches Debian packages once)
	scripts/system-packages docker
	scripts/system-packages qemu
	QUORATE_KIND=docker $(BIN)/pytest tests/hosts/test_kinds.py tests/hosts/test_bare_debian.py tests/hosts/test_world.py tests/hosts/test_leases.py tests/hosts/test_link_faults_on_hosts.py tests/hosts/test_compose.py tests/hosts/test_disk_troubles_on_hosts.py tests/hosts/test_power_loss_on_hosts.py tests/hosts/test_power_off_on_hosts.py tests/hosts/test_client_links_on_hosts.py tests/hosts/test_queued_faults_on_hosts.py tests/hosts/test_file_faults_on_hosts.py tests/hosts/test_freezer_on_hosts.py tests/hosts/test_own_clocks.py tests/hosts/test_same_faults.py tests/hosts/test_cpu_pressure_on_hosts.py tests/hosts/test_memory_pressure_on_hosts.py tests/hosts/test_hot_key.py::test_on_hosts
	QUORATE_KIND=qemu $(BIN)/pytest tests/hosts/test_kinds.py tests/hosts/test_freezer_on_hosts.py tests/hosts/test_own_clocks.py tests/hosts/test_disk_troubles_on_hosts.py::test_a_disk_that_refuses tests/hosts/test_disk_troubles_on_hosts.py::test_a_slow_disk tests/hosts/test_disk_troubles_on_hosts.py::test_a_disk_that_lies_keeps_nothing_that_was_synced_meanwhile
	scripts/system-packages vagrant
	$(BIN)/pytest tests/hosts/test_vagrant.py

chaos: $(VENV)/.built $(VENV)/.host-tools ## kill the harness itself 50 times, at any moment, and look what is left (as root, 20 minutes)
	QUORATE_CHAOS=50 $(BIN)/pytest -s tests/hosts/test_harness_chaos.py

check: $(VENV)/.built $(VENV)/.lint-tools ## formatting, lint and types, Python and Rust
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	cd checkers/core && cargo fmt --check && cargo clippy --quiet --all-targets -- -D warnings

format: $(VENV)/.built ## format Python and Rust in place
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	cd checkers/core && cargo fmt

nightly: $(VENV)/.built ## the long versions: 10,000,000 fuzzed histories, 2,000 seeds a mode, mutation of the zone checker
	cd checkers/core && QUORATE_FUZZ=10000000 cargo test --quiet --no-default-features fuzz -- --nocapture
	QUORATE_FUZZ=1000000 $(BIN)/pytest tests/checkers -k fuzz
	QUORATE_FUZZ=1000000 $(BIN)/pytest tests/kvstore -k "table or laws or fuzz"
	QUORATE_SEEDS=2000 $(BIN)/pytest tests/sim -k violations
	QUORATE_SEEDS=2000 $(BIN)/pytest -s tests/explorers
	QUORATE_KILLS=100 $(BIN)/pytest -s tests/hosts/test_kills.py
	QUORATE_KILLS=20 $(BIN)/pytest tests/sim/test_campaign.py -k killed
	$(BIN)/python tests/quality/mutate_zones.py

mutants: $(VENV)/.built ## list the mutants of the checkers, in Rust and Python, that no test notices (an hour)
	$(BIN)/python tests/quality/mutate_core.py
	$(BIN)/python tests/quality/mutate_python.py

configurations: $(VENV)/.built ## measure every configuration of the store anew and write docs/configurations.md (some ten minutes)
	$(BIN)/quorate matrix examples/configurations/matrix.toml --out runs/configurations
	cp runs/configurations/matrix.md docs/configurations.md

bench: $(VENV)/.built ## measure the numbers that docs/benchmarks.md states
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean: ## remove what the targets above made (the runs folder stays)
	rm -rf $(VENV) checkers/core/target checkers/_core*.so dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.build-tools: scripts/system-packages
	scripts/system-packages build
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.host-tools: scripts/system-packages | $(VENV)/.build-tools
	scripts/system-packages hosts
	@touch $@

$(VENV)/.browser-tools: scripts/system-packages | $(VENV)/.build-tools
	scripts/system-packages browser
	@touch $@

$(VENV)/.lint-tools: scripts/system-packages | $(VENV)/.build-tools
	scripts/system-packages lint
	@touch $@

$(VENV)/.built: $(VENV)/.build-tools pyproject.toml $(RUST)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
