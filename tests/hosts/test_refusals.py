"""The command line on machines and hosts that cannot be used: one sentence that names host and remedy, 254 or 255, no trace, nothing left."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.control import Connection
from harness.doctor import MEND_CORE, MEND_TOOLS
from harness.provision.inventory import Inventory

QUORATE = str(Path(sys.executable).parent / "quorate")
CLIENT_PORT, PEER_PORT = 7000, 7100
PLAN = """
name = "refused"
workload = "register"
claims = ["linearizable"]
nodes = 3
time_limit_s = 1

[system]
name = "kvstore"
"""


def refused(tmp_path: Path, *options: str) -> tuple[int, str]:
    """(exit status, the one sentence) of `quorate run` on these hosts."""
    (tmp_path / "plan.toml").write_text(PLAN)
    done = subprocess.run(
        [QUORATE, "run", str(tmp_path / "plan.toml"), "--world", "hosts", "--json", "--out", str(tmp_path), *options],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    (sentence,) = done.stderr.splitlines()
    assert json.loads(done.stdout) == {"error": sentence.removeprefix("error: "), "status": done.returncode}
    return done.returncode, sentence


def closed_port() -> int:
    """A port of the loopback on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
def test_a_host_that_refuses_ssh(tmp_path: Path) -> None:
    port = closed_port()
    (tmp_path / "known").touch()
    hosts = "".join(
        f'[[hosts]]\nname = "h{number}"\naddress = "127.0.0.{number}"\n' for number in range(1, 4)
    )
    inventory = tmp_path / "closed.toml"
    inventory.write_text(f'port = {port}\nknown_hosts = "{tmp_path / "known"}"\n{hosts}')
    assert refused(tmp_path, "--inventory", str(inventory)) == (
        255,
        f"error: h1 (127.0.0.1:{port}) refuses SSH: connection refused; is sshd running there? "
        "`quorate hosts list` names the clusters that are up.",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cluster = ", "is not valid TOML"),
        ("", "names no host: add a [[hosts]] table"),
        ('[[hosts]]\nname = "n1"\naddress = "127.0.0.1"\nsudo = "yes"', "host 1: sudo must be of type bool"),
        (
            'slowness = 10\n[[hosts]]\nname = "n1"\naddress = "127.0.0.1"',
            "host 1: slowness must be of type float",
        ),
        (
            'slowness = 0.5\n[[hosts]]\nname = "n1"\naddress = "127.0.0.1"',
            "host 1: slowness is from 1.0 to 100.0, not 0.5",
        ),
        ('[[hosts]]\nname = "n1"\naddress = "127.0.0.1"', "the plan wants 3 nodes"),
    ],
)
def test_an_inventory_that_cannot_be_used(tmp_path: Path, text: str, words: str) -> None:
    inventory = tmp_path / "bad.toml"
    inventory.write_text(text)
    status, sentence = refused(tmp_path, "--inventory", str(inventory))
    assert status == 254
    assert words in sentence


@contextmanager
def listener(connection: Connection, port: int) -> Iterator[None]:
    """Somebody else's program on a port of the host."""
    code = f"import socket, time; s = socket.create_server(('0.0.0.0', {port})); print('on', flush=True); time.sleep(600)"
    log = f"/tmp/listener-{port}"
    start = f"setsid python3 -c {shlex.quote(code)} >{log} 2>&1 </dev/null & echo $!; until [ -s {log} ]; do :; done; cat {log}"
    pid, word = connection.shell(start).stdout.split()
    assert word == "on"
    try:
        yield
    finally:
        connection.shell(f"kill -9 {int(pid)}; rm -f {log}")


@pytest.mark.hosts
@pytest.mark.slow
@pytest.mark.parametrize("port", [CLIENT_PORT, PEER_PORT])
def test_a_port_in_use(five: Inventory, tmp_path: Path, port: int) -> None:
    second = Connection(five.hosts[1])
    try:
        with listener(second, port):
            status, sentence = refused(tmp_path, "--cluster", five.cluster)
            assert f":{port:04X} " in second.shell("cat /proc/net/tcp").stdout, "theirs is left alone"
    finally:
        second.close()
    assert status == 255
    assert sentence.startswith(f"error: {five.hosts[1].label}: ")
    assert str(port) in sentence
    first = Connection(five.hosts[0])
    try:
        assert first.shell("ls -d /opt/quorate-store /run/quorate-node", check=False).stdout == ""
    finally:
        first.close()


def on_a_broken_machine(*arguments: str) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) where sshd is covered by a file that cannot be run, and the core by an empty one."""
    found = importlib.util.find_spec("checkers._core")
    assert found is not None
    hide = f"mount --bind /dev/null /usr/sbin/sshd; mount --bind /dev/null {found.origin}"
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{hide}; exec "$@"', "sh", QUORATE, *arguments],
        capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "COLUMNS": "250"},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.hosts
@pytest.mark.slow
def test_a_machine_without_sshd_and_core_is_told_so() -> None:
    status, out, err = on_a_broken_machine("doctor")
    assert (status, err) == (255, "")
    lacks = [line for line in out.splitlines() if line.split()[0] in ("missing", "optional")]
    assert any("sshd, for local hosts" in line and MEND_TOOLS in line for line in lacks)
    assert any("compiled core" in line and MEND_CORE in line for line in lacks if "missing" in line)
    status, out, err = on_a_broken_machine("check", __file__)
    assert (status, out) == (255, "")
    assert err.startswith("error: the compiled core of the checkers cannot be used (")
    assert err.endswith("): `quorate doctor` says what to do\n")
