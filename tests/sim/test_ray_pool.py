"""Runs on a Ray cluster: the same records as from one process, though a machine of it dies half way; what is refused before any work.

head 127.0.0.2, no cores     worker 127.0.0.3, one core     worker 127.0.0.4, one core      all on this machine
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest

import harness
from harness.campaign.file import Campaign, load_campaign
from harness.campaign.ledger import Record, opened
from harness.campaign.night import go, todo
from harness.cli import status_of
from harness.matrix.grid import load_matrix
from harness.matrix.sweep import Sweep
from harness.plan import load_plan
from harness.pool import Jobs, in_order
from harness.ray_pool import ClusterError, build, difference, made, own_files, ray_pool
from harness.search.explore import Exploration
from tests.harness.test_keyed_pool import joined
from tests.kvstore.live import free_ports
from tests.polling import poll
from tests.test_examples import commands

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE_S = 600.0
FILE = f"""
name = "spread"
[[items]]
name = "register"
plan = "{EXAMPLES}/register.toml"
runs = 12
set = {{ time_limit_s = 4 }}
[[items]]
name = "eventual"
plan = "{EXAMPLES}/eventual.toml"
runs = 12
set = {{ time_limit_s = 4 }}
"""
MATRIX = f"""
name = "two"
plan = "{EXAMPLES}/eventual.toml"
seeds = 2
[axes]
"system.mode" = ["eventual", "quorum"]
[environments.calm]
"""
slow = pytest.mark.slow
together = pytest.mark.xdist_group("ray")  # one cluster at a time is enough for two cores


def below(pid: int) -> list[int]:
    """A process, and all that it began."""
    told = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [pid, *(each for child in told.stdout.split() for each in below(int(child)))]


def is_running(pid: int) -> bool:
    """Whether it is there, and not only its exit status."""
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return told.stdout.strip()[:1] not in ("", "Z")


def kill(pids: list[int]) -> None:
    """All of them; who has ended because another has is no error."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def pids_of(node: Any) -> list[int]:
    """Everything that a machine of the cluster runs."""
    begun = [info.process.pid for group in node.all_processes.values() for info in group]
    return [pid for each in begun for pid in below(each)]


@pytest.fixture(scope="module", autouse=True)
def logs_that_go() -> Iterator[None]:
    """Ray's sockets and logs are in a folder of ours, whose name is short, as those of sockets must be."""
    with (
        TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("RAY_TMPDIR", folder)
        yield


@pytest.fixture(scope="module")
def machines() -> Iterator[Any]:
    """The cluster. Nothing of it is left afterwards."""
    pytest.importorskip("ray", reason="needs Ray: pip install 'quorate[cluster]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **at(2)})
        try:
            for place in (3, 4):
                cluster.add_node(num_cpus=1, **at(place))
            pids = {pid for node in cluster.list_all_nodes() for pid in pids_of(node)}
            yield cluster
        finally:
            pids |= {pid for node in cluster.list_all_nodes() for pid in pids_of(node)}
            cluster.shutdown()
            poll(lambda: not any(map(is_running, pids)), wait_s=PATIENCE_S, told=lambda: list(filter(is_running, pids)))  # fmt: skip


def at(place: int) -> dict[str, Any]:
    """Ray takes 127.0.0.1 for the address that others see, but none of the other addresses of the loopback."""
    return {"node_ip_address": f"127.0.0.{place}", "include_dashboard": False}


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    (tmp_path / "spread.toml").write_text(FILE)
    return load_campaign(tmp_path / "spread.toml")


def night(
    campaign: Campaign, path: Path, jobs: Jobs, tell: Callable[[Record], None] = lambda record: None
) -> list[Record]:
    """Make what is missing of the first night; all of it, without what it cost."""
    with opened(path, make=True) as ledger:
        assert go(campaign, ledger, ledger.begin("now", "1"), jobs, lambda: False, tell) == 0
        return [msgspec.structs.replace(record, cpu_s=0.0, real_s=0.0) for record in ledger.records()]


def night_in_a_process(folder: Path, address: str) -> subprocess.Popen[str]:
    """The command, once some of its runs are in the ledger."""
    command = [str(Path(sys.executable).parent / "quorate"), "campaign", "run", str(folder / "spread.toml"), "--ray", address, "--out", str(folder), "--json"]  # fmt: skip
    run = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    path = folder / "campaign.sqlite"

    def some() -> bool:
        assert run.poll() is None, run.communicate()
        if not path.exists():
            return False
        with opened(path) as ledger:
            return len(list(ledger.records())) > 2

    poll(some, wait_s=PATIENCE_S)
    return run


@slow
@together
def test_a_machine_that_dies_half_way_changes_no_result(
    campaign: Campaign, tmp_path: Path, machines: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    doomed = machines.add_node(num_cpus=1, **at(5))
    told = list[Record]()

    def tell(record: Record) -> None:
        told.append(record)
        if len(told) == 8:
            kill(pids_of(doomed))

    try:
        with ray_pool(machines.address) as pool:
            assert pool.size == 3
            spread = night(campaign, tmp_path / "spread.sqlite", pool, tell)
    finally:
        machines.remove_node(doomed, allow_graceful=False)
    assert capsys.readouterr().out == ""
    assert len(told) == len(spread) == 24
    assert spread == night(campaign, tmp_path / "serial.sqlite", 1)
    assert {record.item: record.outcome for record in spread} == {
        "register": "vacuous",
        "eventual": "violation",
    }


@slow
@together
def test_what_is_explored_and_swept_is_the_same_there(tmp_path: Path, machines: Any) -> None:
    plan = replace(load_plan(EXAMPLES / "eventual.toml"), time_limit_s=2.0)
    (tmp_path / "two.toml").write_text(MATRIX)
    matrix = load_matrix(tmp_path / "two.toml")
    found, swept = list[Any](), list[Any]()
    with ray_pool(machines.address) as pool:
        for name, each in (("spread", pool), ("serial", 1)):
            exploration, sweep = Exploration(plan, "novelty", tmp_path / f"explored-{name}"), Sweep(matrix, tmp_path / name)  # fmt: skip
            exploration.go(6, each, lambda: False, lambda record: None)
            sweep.go(each, lambda: False, lambda record: None)
            found.append([replace(record, cpu_s=0.0) for record in exploration.records])
            swept.append(sweep.records)
    assert len(found[0]) == 6
    assert found[0] == found[1]
    assert len(swept[0]) == 4
    assert swept[0] == swept[1]


@slow
@together
def test_what_a_task_raises_is_raised_here_and_the_rest_is_dropped(machines: Any) -> None:
    with ray_pool(machines.address) as pool, pytest.raises(ValueError, match=r"invalid literal .*'two'"):
        list(in_order(int, ((text, (text,)) for text in ("1", "two", "3")), pool))


@slow
@together
def test_a_history_judged_key_by_key_there_gets_the_same_answer(
    tmp_path: Path, machines: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "history.jsonl"
    joined("stack", 3, 6).dump(path)
    told = list[Any]()
    for more in ((), ("--ray", machines.address)):
        status = status_of(["check", str(path), "--model", "stack", "--json", "--explain", *more])
        told.append((status, {**json.loads(capsys.readouterr().out), "seconds": 0}))
    assert told[0] == told[1]
    assert told[0][0] == 1


@slow
@together
def test_ctrl_c_leaves_a_night_that_is_gone_on_with(
    campaign: Campaign, tmp_path: Path, machines: Any
) -> None:
    path = tmp_path / "campaign.sqlite"
    run = night_in_a_process(tmp_path, machines.address)
    run.send_signal(signal.SIGINT)
    err = run.communicate(timeout=PATIENCE_S)[1]
    assert "the same command goes on with the" in err
    assert "Traceback" not in err
    with opened(path) as ledger:
        left = list(todo(campaign, ledger, ledger.nights()[-1]))
    assert left
    told = list[Record]()
    assert night(campaign, path, 1, told.append) == night(campaign, tmp_path / "serial.sqlite", 1)  # fmt: skip
    assert len(told) == len(left)


@slow
@together
def test_a_machine_of_another_build_is_refused_before_any_work(
    tmp_path: Path, machines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It finds a copy of the harness in which a line was added."""
    copy, here = tmp_path / "copy", tmp_path / "here"
    here.mkdir()
    shutil.copytree(Path(harness.__file__).parent, copy / "harness")
    with (copy / "harness" / "pool.py").open("a") as file:
        file.write("# otherwise\n")
    monkeypatch.chdir(here)  # Ray's workers look for modules where the driver stands
    other = machines.add_node(num_cpus=1, env_vars={"PYTHONPATH": str(copy)}, **at(6))
    try:
        with (
            pytest.raises(
                ClusterError,
                match=r"127\.0\.0\.6 of the cluster has another build \(package harness: \w+ there, \w+ here\)",
            ),
            ray_pool(machines.address),
        ):
            raise AssertionError("work began")
    finally:
        machines.remove_node(other)


@contextmanager
def head_of(command: str) -> Iterator[int]:
    """A head, begun by `ray start` in the foreground, so that all goes with it; its pid."""
    pytest.importorskip("ray", reason="needs Ray: pip install 'quorate[cluster]'")
    whole = [str(Path(sys.executable).parent / "ray"), *shlex.split(command)[1:], "--block"]
    head = subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    pids = set[int]()
    try:
        assert head.stdout is not None
        said = ""
        while "Ray runtime started" not in said:
            line = head.stdout.readline()
            assert line, said
            said += line
        pids = set(below(head.pid))
        yield head.pid
    finally:
        pids |= set(below(head.pid))
        head.terminate()
        head.communicate(timeout=PATIENCE_S)
        poll(lambda: not any(map(is_running, pids)), wait_s=PATIENCE_S, told=lambda: list(filter(is_running, pids)))  # fmt: skip


def commands_at_a_free_port() -> tuple[str, list[str]]:
    """The address, and the commands of the page with it."""
    (port,) = free_ports(1)
    shown = commands(EXAMPLES.parent / "docs" / "scale.md")
    return f"127.0.0.2:{port}", [command.replace("6379", str(port)) for command in shown]


@slow
@together
def test_the_commands_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(EXAMPLES)
    _, (start, *rest) = commands_at_a_free_port()
    assert sum("--ray" in command for command in rest) == 4
    with head_of(start):
        for command in rest:
            whole = [str(Path(sys.executable).parent / "quorate"), *shlex.split(command)[1:]]
            done = subprocess.run(whole, cwd=tmp_path, capture_output=True, text=True)
            assert done.returncode in (0, 1), f"{command}: {done.stdout}{done.stderr}"
            assert "Traceback" not in done.stderr, command


@slow
@together
def test_a_head_that_dies_ends_the_night_with_one_sentence(campaign: Campaign, tmp_path: Path) -> None:
    address, (start, *_) = commands_at_a_free_port()
    with head_of(start) as head:
        run = night_in_a_process(tmp_path, address)
        kill(below(head))
        out, err = run.communicate(timeout=PATIENCE_S)
    told = f"the head of the cluster, {address}, does not answer any more"
    assert (run.returncode, json.loads(out)) == (255, {"error": told, "status": 255}), err
    assert f"error: {told}" in err
    with opened(tmp_path / "campaign.sqlite") as ledger:
        assert 2 < len(list(ledger.records())) < 24


def test_a_machine_that_joined_with_another_build_does_no_task() -> None:
    assert made(build(), int, ("7",)) == 7
    with pytest.raises(ClusterError, match=r"has joined the cluster .* \(quorate: \S+ there, 0\.0\.1 here\)"):
        made({**build(), "quorate": "0.0.1"}, int, ("7",))


def test_the_first_difference_is_told_and_a_missing_thing_is_one(tmp_path: Path) -> None:
    mine = {"quorate": "1", "Python": "3.11.2"}
    assert difference(mine, dict(mine)) is None
    assert difference(mine, {"quorate": "2", "Python": "3.12.0"}) == "quorate: 2 there, 1 here"
    assert difference(mine, {"quorate": "1"}) == "Python: missing there, 3.11.2 here"
    assert difference(mine, {**mine, "package theirs": "ab"}) == "package theirs: ab there, missing here"
    file = tmp_path / "mine.py"
    file.write_text("a = 1\n")
    before = build((str(file),))
    file.unlink()
    build.cache_clear()
    assert difference(before, build((str(file),))) == f"{file}: missing there, {before[str(file)]} here"
    assert {"package checkers", "package harness", "package kvstore", "package workloads"} <= set(before)


def test_the_files_that_plans_name_are_compared_too() -> None:
    names = ("primary_backup/plan.toml", "eventual.toml")
    plans = [load_plan(EXAMPLES / name) for name in names]
    assert {Path(file).name for file in own_files(plans)} == {"node.py"}


def test_without_ray_one_sentence_says_what_to_install(
    campaign: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    file = str(tmp_path / "spread.toml")
    assert status_of(["campaign", "run", file, "--ray", "127.0.0.2:6379", "--out", str(tmp_path / "out")]) == 254  # fmt: skip
    assert capsys.readouterr().err == "error: --ray needs Ray, which is not here: pip install 'quorate[cluster]'\n"  # fmt: skip
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        (["--ray", "127.0.0.1:1"], 255, "--ray 127.0.0.1:1: no cluster that this machine is part of"),
        (["--ray", "ray://127.0.0.2:10001"], 254, "ray://127.0.0.2:10001 is no HOST:PORT"),
        (["--ray", "127.0.0.2:6379", "--jobs", "2"], 254, "leave --jobs out"),
    ],
)
def test_what_leads_to_no_cluster_is_told(
    more: list[str], status: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install 'quorate[cluster]'")
    arguments = ["explore", str(EXAMPLES / "eventual.toml"), "--out", str(tmp_path), *more]
    assert status_of(arguments) == status
    assert says in capsys.readouterr().err
