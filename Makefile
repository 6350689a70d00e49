# `make demo` and `make test` do all set-up themselves. `make help` lists the rest.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUST   := $(wildcard checkers/core/src/*.rs checkers/core/src/*/*.rs) checkers/core/Cargo.toml checkers/core/Cargo.lock

unexport PYTHONDONTWRITEBYTECODE  # each file is compiled once, not anew in each of a thousand processes

.DEFAULT_GOAL := help
.PHONY: help demo test quick compiled kinds chaos check format nightly wheel-test mutants configurations bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

demo: $(VENV)/.built ## show which configurations keep their promise (simulator, about a minute)
	$(BIN)/quorate demo

test: $(VENV)/.built $(VENV)/.host-tools $(VENV)/.browser-tools $(VENV)/.lint-tools $(VENV)/.compile-tools ## run every test, local hosts and the installed wheel among them
	cd checkers/core && cargo test --quiet --no-default-features
	$(BIN)/pytest -n 2 --dist loadgroup  # one of them begins with hosts, which are waited for (tests/conftest.py)
	$(BIN)/pytest -n 2 -q campaigns/smoke.toml

quick: $(VENV)/.built ## run the tests that take under a second each and need no root
	$(BIN)/pytest -n 2 -m "not slow and not hosts"

compiled: $(VENV)/.built $(VENV)/.compile-tools ## make build/compiled/quorate: the same command, with the simulator's busiest modules compiled (a minute or two)
	$(BIN)/python scripts/compiled.py

kinds: $(VENV)/.built $(VENV)/.host-tools ## run the tests on containers and on emulated machines, and on machines of the Vagrantfile (as root; fetches Debian packages once)
	scripts/system-packages docker
	scripts/system-packages qemu
	QUORATE_KIND=docker $(BIN)/pytest tests/hosts/test_kinds.py tests/hosts/test_bare_debian.py tests/hosts/test_world.py tests/hosts/test_leases.py tests/hosts/test_link_faults_on_hosts.py tests/hosts/test_compose.py tests/hosts/test_disk_troubles_on_hosts.py tests/hosts/test_power_loss_on_hosts.py tests/hosts/test_power_off_on_hosts.py tests/hosts/test_client_links_on_hosts.py tests/hosts/test_queued_faults_on_hosts.py tests/hosts/test_file_faults_on_hosts.py tests/hosts/test_freezer_on_hosts.py tests/hosts/test_own_clocks.py tests/hosts/test_same_faults.py tests/hosts/test_cpu_pressure_on_hosts.py tests/hosts/test_memory_pressure_on_hosts.py tests/hosts/test_hot_key.py::test_on_hosts tests/hosts/test_changing_members_on_hosts.py::test_every_change_bites_and_the_register_stays_valid
	QUORATE_KIND=qemu $(BIN)/pytest tests/hosts/test_kinds.py tests/hosts/test_freezer_on_hosts.py tests/hosts/test_own_clocks.py tests/hosts/test_disk_troubles_on_hosts.py::test_a_disk_that_refuses tests/hosts/test_disk_troubles_on_hosts.py::test_a_slow_disk tests/hosts/test_disk_troubles_on_hosts.py::test_a_disk_that_lies_keeps_nothing_that_was_synced_meanwhile tests/hosts/test_power_off_on_hosts.py tests/hosts/test_power_loss_on_hosts.py::test_what_is_not_synced_is_gone_and_nothing_else tests/hosts/test_file_faults_on_hosts.py::test_bits_flip_in_a_share_of_the_pages_and_a_process_reads_them tests/hosts/test_file_faults_on_hosts.py::test_the_end_of_a_file_is_cut_off_and_put_back_where_nobody_wrote_since tests/hosts/test_file_faults_on_hosts.py::test_an_older_state_comes_back_with_a_process_on_it
	QUORATE_KIND=qemu $(BIN)/pytest tests/hosts/test_link_faults_on_hosts.py::test_a_loss_drops_about_its_share_one_way tests/hosts/test_link_faults_on_hosts.py::test_links_that_flap_are_down_and_up_and_down tests/hosts/test_link_faults_on_hosts.py::test_a_reset_ends_connections_at_once_and_refuses_new_ones tests/hosts/test_link_faults_on_hosts.py::test_a_slow_link_takes_its_time_and_others_do_not tests/hosts/test_link_faults_on_hosts.py::test_a_delay_is_at_least_what_was_asked_for_and_measured_as_such tests/hosts/test_queued_faults_on_hosts.py::test_datagrams_are_doubled_and_a_stream_is_not tests/hosts/test_queued_faults_on_hosts.py::test_datagrams_are_overtaken_and_a_stream_is_in_order tests/hosts/test_queued_faults_on_hosts.py::test_with_a_wrong_checksum_the_kernel_drops_what_is_corrupt tests/hosts/test_queued_faults_on_hosts.py::test_with_the_right_checksum_a_flipped_bit_reaches_the_program tests/hosts/test_client_links_on_hosts.py::test_without_answers_requests_arrive_and_peers_hear_the_host tests/hosts/test_client_links_on_hosts.py::test_without_requests_nothing_arrives_until_the_heal tests/hosts/test_client_links_on_hosts.py::test_loss_is_late_a_reset_is_heard_at_once_and_a_delay_is_both_ways tests/hosts/test_client_links_on_hosts.py::test_they_end_with_the_lease_and_leave_other_rules_alone
	QUORATE_KIND=qemu $(BIN)/pytest tests/hosts/test_cpu_pressure_on_hosts.py tests/hosts/test_memory_pressure_on_hosts.py::test_who_wants_more_than_the_room_waits_and_goes_on_afterwards tests/hosts/test_memory_pressure_on_hosts.py::test_the_kernel_kills_the_system_and_not_the_hog tests/hosts/test_world.py::test_wipe_empties_the_disk_of_a_dead_process_only tests/hosts/test_moving_clocks_on_hosts.py::test_the_process_sees_its_clock_move tests/hosts/test_hot_key.py::test_on_hosts tests/hosts/test_same_faults.py tests/hosts/test_changing_members_on_hosts.py::test_every_change_bites_and_the_register_stays_valid
	scripts/system-packages vagrant
	$(BIN)/pytest tests/hosts/test_vagrant.py
	QUORATE_KIND=vagrant $(BIN)/pytest tests/hosts/test_vagrant_machines.py

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
	QUORATE_KILLS=20 $(BIN)/pytest -s tests/sim/test_campaign.py tests/sim/test_killed_commands.py -k killed
	QUORATE_EVERY_FAULT=1 $(BIN)/pytest tests/hosts/test_promises_on_hosts.py
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
	rm -rf $(VENV) checkers/core/target checkers/_core*.so build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

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

$(VENV)/.compile-tools: scripts/system-packages | $(VENV)/.build-tools
	scripts/system-packages compile
	@touch $@

$(VENV)/.built: $(VENV)/.build-tools pyproject.toml $(RUST)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
