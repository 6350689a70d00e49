"""How each system is started: three of our nodes, three members of etcd, one Redis. All keep a write on disk before they answer."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.request import Request, urlopen

from benchmarks.peers.load import GrpcLink, RespLink
from tests.kvstore.live import LiveCluster, ask, free_ports

START_S = 30.0


class Running(NamedTuple):
    """A system at work. The first of `ports` is where one client would best go; pids of all servers."""

    link: type[RespLink] | type[GrpcLink]
    ports: list[int]
    pids: list[int]

    def processor_s(self) -> float:
        """Processor time of all servers, user and system."""
        ticks = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def missing(*programs: str) -> str | None:
    """What to install, None if all is there."""
    gone = [program for program in programs if shutil.which(program) is None]
    return f"{', '.join(gone)} not found: scripts/system-packages peers" if gone else None


@contextmanager
def ours(folder: Path, mode: str) -> Iterator[Running]:
    """Three nodes, N=3 R=W=2, every write fsynced on two of them."""
    cluster = LiveCluster(folder, bucket=f'mode = "{mode}"')
    try:
        cluster.start_all()
        pids = [process.pid for process in cluster.running.values()]
        yield Running(RespLink, list(cluster.ports.values()), pids)
    finally:
        cluster.stop_all()


@contextmanager
def etcd(folder: Path) -> Iterator[Running]:
    """Three members; the leader's port first."""
    ports = free_ports(6)
    client, peer = ports[:3], ports[3:]
    everybody = ",".join(f"m{at}=http://127.0.0.1:{peer[at]}" for at in range(3))
    commands = [
        [
            "etcd", "--name", f"m{at}", "--data-dir", str(folder / f"m{at}"), "--logger", "zap", "--log-level", "error",
            "--listen-client-urls", f"http://127.0.0.1:{client[at]}", "--advertise-client-urls", f"http://127.0.0.1:{client[at]}",
            "--listen-peer-urls", f"http://127.0.0.1:{peer[at]}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer[at]}",
            "--initial-cluster", everybody, "--initial-cluster-token", folder.name,
        ]
        for at in range(3)
    ]  # fmt: skip
    with servers(commands) as pids:
        _wait(lambda: all(_leads(port) is not None for port in client))
        client.sort(key=lambda port: not _leads(port))
        yield Running(GrpcLink, client, pids)


def _leads(port: int) -> bool | None:
    """Whether the member there leads; None while there is no leader."""
    with suppress(OSError, ValueError, KeyError):
        request = Request(f"http://127.0.0.1:{port}/v3/maintenance/status", b"{}")
        with urlopen(request, timeout=2.0) as answer:
            status = json.load(answer)
        return bool(status["leader"] == status["header"]["member_id"])
    return None


@contextmanager
def redis(folder: Path) -> Iterator[Running]:
    """One server, `appendfsync always`."""
    (port,) = free_ports(1)
    command = ["redis-server", "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "yes"]
    with servers([[*command, "--appendfsync", "always", "--bind", "127.0.0.1"]]) as pids:
        _wait(lambda: ask(port, [b"PING"]) == [b"PONG"])
        yield Running(RespLink, [port], pids)


@contextmanager
def servers(commands: list[list[str]]) -> Iterator[list[int]]:
    """Their pids; killed at the end."""
    quiet = subprocess.DEVNULL
    running = [subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet) for command in commands]
    try:
        yield [process.pid for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()


def _wait(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with suppress(OSError, socket.timeout):
            if there():
                return
        if time.monotonic() > deadline:
            raise SystemExit(f"a server did not answer within {START_S:.0f} s")
        time.sleep(0.05)
