"""Real nodes as processes on free loopback ports, for tests and benchmarks."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import hiredis

from kvstore import resp

READY_S = 300.0


PORTS = range(
    20_480, 32_768
)  # below those that the kernel gives to whoever asks for any (ip_local_port_range)
EACH = len(PORTS) // 16
_given = itertools.count(os.getpid() * 64)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, and that no other worker of pytest and no connection is given before they are used."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    found: list[int] = []
    while len(found) < count:
        port = PORTS[worker % 16 * EACH + next(_given) % EACH]
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found


def ask(
    port: int, *commands: Sequence[bytes], timeout_s: float = 60.0, tls: ssl.SSLContext | None = None
) -> list[object]:
    """The answers to commands sent at once over one connection."""
    with contextlib.ExitStack() as opened:
        connection = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout_s))
        if tls is not None:
            connection = opened.enter_context(tls.wrap_socket(connection, server_hostname="127.0.0.1"))
        connection.sendall(b"".join(resp.encode(list(command), 2) for command in commands))
        return read_answers(connection, len(commands))


def read_answers(connection: socket.socket, count: int) -> list[object]:
    """The next answers on a connection. Raises ConnectionError when it ends before."""
    reader, answers = hiredis.Reader(), []
    while len(answers) < count:
        answer = reader.gets()
        if answer is not False:
            answers.append(answer)
            continue
        data = connection.recv(65536)
        if not data:
            raise ConnectionError(f"the node closed after {len(answers)} of {count} answers: {answers}")
        reader.feed(data)
    return answers


class LiveCluster:
    """Nodes n1, n2, … of one cluster. `more` is TOML for every node, <node> its name; `tls` is what to poll with."""

    tls: ssl.SSLContext | None = None

    def __init__(
        self, folder: Path, count: int = 3, *, bucket: str = 'mode = "quorum"', more: str = ""
    ) -> None:
        ports = free_ports(2 * count)
        self.folder = folder
        self.names = [f"n{number}" for number in range(1, count + 1)]
        self.ports = dict(zip(self.names, ports[:count], strict=True))
        self.peer_ports = dict(zip(self.names, ports[count:], strict=True))
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.python = [sys.executable]
        for name in self.names:
            (folder / f"{name}.toml").write_text(self._toml(name, bucket, more))

    def _toml(self, name: str, bucket: str, more: str) -> str:
        peers = "\n".join(f'{each} = "127.0.0.1:{port}"' for each, port in self.peer_ports.items())
        patient = "" if "request_timeout_ms" in more else "request_timeout_ms = 60_000\n"  # disks may be busy
        return (
            f'name = "{name}"\ndata = "{self.folder / name}"\nclient = "127.0.0.1:{self.ports[name]}"\n'
            f'peer = "127.0.0.1:{self.peer_ports[name]}"\n{patient}{more.replace("<node>", name)}\n[peers]\n{peers}\n[bucket]\n{bucket}\n'
        )

    def start(self, name: str) -> None:
        """Start a node's process."""
        command = [*self.python, "-m", "kvstore", "--config", str(self.folder / f"{name}.toml")]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_answering(self, name: str, *login: Sequence[bytes]) -> None:
        """Poll until the node answers PING and reaches every peer that runs."""
        until, seen = time.monotonic() + READY_S, b""
        wanted = {f"peer_{each}:link=up".encode() for each in self.running if each != name}
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                *_, seen = ask(self.ports[name], *login, [b"INFO"], tls=self.tls)  # type: ignore[assignment]
                if isinstance(seen, bytes) and b"ready:1" in seen and all(each in seen for each in wanted):
                    return
            if self.running[name].poll() is not None:
                break
            time.sleep(0.02)  # between polls
        raise AssertionError(f"{name} is not ready: {seen!r}\n{(self.folder / f'{name}.log').read_text()}")

    def start_all(self, *login: Sequence[bytes]) -> None:
        """Start every node and wait until all reach each other."""
        for name in self.names:
            self.start(name)
        for name in self.names:
            self.wait_answering(name, *login)

    def stop(self, name: str, number: int = signal.SIGTERM) -> int:
        """End a node by signal; its exit status."""
        process = self.running.pop(name)
        process.send_signal(number)
        return process.wait(READY_S)

    def stop_all(self) -> None:
        """End every node that runs."""
        for name in list(self.running):
            self.stop(name, signal.SIGKILL)


@contextlib.contextmanager
def live_cluster(folder: Path, count: int = 3, **options: str) -> Iterator[LiveCluster]:
    """A cluster made ready, and ended after use. `login` is the password to poll with."""
    password = options.pop("password", None)
    if password is not None:
        options["more"] = f'password = "{password}"\n' + options.get("more", "")
    cluster = LiveCluster(folder, count, **options)
    try:
        cluster.start_all(*([[b"AUTH", password.encode()]] if password else []))
        yield cluster
    finally:
        cluster.stop_all()
