"""Control: run commands and move files on hosts over SSH. One connection for each host, a time limit on everything.

    Control ── Connection n1 ── paramiko transport ── channels      one retry policy, for connecting only:
           ├── Connection n2                                        a command that was sent is never sent again,
           └── Connection n3          each(call): all at once       because it may have run

Two facts shape this file. Paramiko leaves Nagle's algorithm on, which with delayed ACKs costs 40 ms a command: we hand
it a socket with TCP_NODELAY. And a paused or cut host does not refuse, it hangs: so nothing here waits for ever.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import paramiko

from harness.provision.inventory import Host
from harness.worlds import WorldError

T = TypeVar("T")
NO_ANSWER: Final = (TimeoutError, paramiko.SSHException, OSError, EOFError)
"""What paramiko raises where a connection does not answer, or is lost: then it is what its reading thread met."""
CONNECT_TIMEOUT_S: Final = 5.0
COMMAND_TIMEOUT_S: Final = 15.0
CONNECT_PAUSES_S: Final = (0.1, 0.4, 1.0)  # before the second, third and fourth attempt
KEEPALIVE_S: Final = 15


class ControlError(WorldError):
    """A host cannot be reached or did not do what it was told: which host, what, and what to do next."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command said. `status` is its exit status."""

    command: str
    status: int
    stdout: str
    stderr: str
    seconds: float


class Connection:
    """One host. Thread-safe; connects when first used and again when the connection is lost."""

    def __init__(self, host: Host, trace: Callable[[str], None] = lambda text: None) -> None:
        self.host = host
        self._trace = trace
        self._client: paramiko.SSHClient | None = None
        self._lock = threading.Lock()

    def run(self, *command: str, timeout_s: float = COMMAND_TIMEOUT_S, check: bool = True) -> CommandResult:
        """Run one command, its words quoted. With `check`, raises ControlError unless it exits 0."""
        return self.shell(shlex.join(command), timeout_s=timeout_s, check=check)

    def shell(
        self, script: str, *, timeout_s: float = COMMAND_TIMEOUT_S, check: bool = True
    ) -> CommandResult:
        """Run a script with the host's `sh`, as root if the inventory says sudo. The caller quotes."""
        command = f"sudo -n sh -c {shlex.quote(script)}" if self.host.sudo else script
        began, timeout_s = time.monotonic(), timeout_s * self.host.slowness
        channel = self._session(timeout_s)
        try:
            channel.exec_command(command)
            stdout, stderr, status = _collect(channel, began + timeout_s)
        except NO_ANSWER as error:
            self._trace(f"{self.host.name} {1000 * (time.monotonic() - began):.1f} ms, no answer: {script}")
            raise ControlError(
                f"{self.host.label} gave no answer to `{_short(script)}` within {timeout_s:g} s ({_reason(error)}). "
                "Is the host paused, or cut off from this machine?"
            ) from error
        finally:
            channel.close()
        result = CommandResult(script, status, stdout, stderr, time.monotonic() - began)
        self._trace(f"{self.host.name} {1000 * result.seconds:.1f} ms, exit {status}: {script}")
        if check and status != 0:
            said = (stderr.strip() or stdout.strip() or "nothing").splitlines()[-1]
            raise ControlError(f"{self.host.label}: `{_short(script)}` exited {status} and said: {said}")
        return result

    def upload(self, content: bytes, path: str, *, mode: int = 0o644, timeout_s: float = 60.0) -> None:
        """Put a file there whole or not at all: write beside it, compare checksums, rename. Makes the directory."""
        directory = os.path.dirname(path)
        digest = hashlib.sha256(content).hexdigest()
        landing = (
            f"/tmp/quorate-{digest[:16]}-{threading.get_ident()}" if self.host.sudo else f"{path}.quorate-new"
        )
        began = time.monotonic()
        self.shell(f"mkdir -p {shlex.quote(directory)}")
        try:
            with self._sftp(timeout_s) as sftp, sftp.file(landing, "wb") as file:
                file.set_pipelined(True)
                sftp.chmod(landing, mode)
                file.write(content)
        except NO_ANSWER as error:
            raise ControlError(f"{self.host.label}: cannot upload {path}: {_reason(error)}.") from error
        old, new = shlex.quote(landing), shlex.quote(path)
        check = f"if echo '{digest}  '{old} | sha256sum -c --status; then mv -f {old} {new}; else rm -f {old}; exit 9; fi"
        if self.shell(check, timeout_s=timeout_s, check=False).status != 0:
            raise ControlError(
                f"{self.host.label}: {path} did not arrive whole; is the disk there full? See `df`."
            )
        self._trace(
            f"{self.host.name} {1000 * (time.monotonic() - began):.1f} ms, uploaded {len(content)} bytes: {path}"
        )

    def download(self, path: str, *, timeout_s: float = 60.0) -> bytes:
        """The content of a file there. Raises ControlError, FileNotFoundError among its causes."""
        try:
            with self._sftp(timeout_s) as sftp, sftp.file(path, "rb") as file:
                file.prefetch()
                return bytes(file.read())
        except NO_ANSWER as error:
            raise ControlError(f"{self.host.label}: cannot download {path}: {_reason(error)}.") from error

    def close(self) -> None:
        """Hang up. Never raises."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                client.close()

    def _session(self, timeout_s: float) -> paramiko.Channel:
        """A channel for one command. A connection lost before that is replaced once: nothing has been sent on it."""
        for attempt in (1, 2):
            client = self._connected()
            transport = client.get_transport()
            try:
                if transport is None:
                    raise paramiko.SSHException("the connection is closed")
                channel = transport.open_session(
                    timeout=min(timeout_s, CONNECT_TIMEOUT_S * self.host.slowness)
                )
                channel.settimeout(timeout_s)
                return channel
            except (paramiko.SSHException, OSError, EOFError) as error:
                self.close()
                if attempt == 2:
                    raise ControlError(
                        f"{self.host.label} opens no session: {_reason(error)}. Is it paused?"
                    ) from error
        raise AssertionError("the loop above returns or raises")

    @contextlib.contextmanager
    def _sftp(self, timeout_s: float) -> Iterator[paramiko.SFTPClient]:
        channel = self._session(timeout_s * self.host.slowness)
        try:
            channel.invoke_subsystem("sftp")
            yield paramiko.SFTPClient(channel)
        finally:
            channel.close()

    def _connected(self) -> paramiko.SSHClient:
        with self._lock:
            if self._client is not None:
                transport = self._client.get_transport()
                if transport is not None and transport.is_active():
                    return self._client
                self._client.close()
            self._client = None
            for pause_s in (*CONNECT_PAUSES_S, None):
                try:
                    self._client = _connect(self.host)
                    return self._client
                except (TimeoutError, ConnectionError, EOFError, paramiko.SSHException, OSError) as error:
                    if pause_s is None or isinstance(error, NEVER_AGAIN):
                        raise _refusal(self.host, error) from error
                time.sleep(pause_s)
        raise AssertionError("the loop above returns or raises")


NEVER_AGAIN: Final = (
    paramiko.AuthenticationException,
    paramiko.BadHostKeyException,
    FileNotFoundError,
    PermissionError,
)
"""Trying again would not help."""


class Control:
    """The connections to all hosts, and doing something on many of them at once.

    A thread cannot be cancelled. So calls are kept while they run, and who wants the last word on a host `settle`s first.
    """

    def __init__(
        self, hosts: Mapping[str, Host], *, trace: Callable[[str], None] = lambda text: None
    ) -> None:
        self.hosts = dict(hosts)
        self._connections = {node: Connection(host, trace) for node, host in hosts.items()}
        self._threads = ThreadPoolExecutor(max_workers=max(4, 2 * len(hosts)), thread_name_prefix="control")
        self._calls: set[Future[Any]] = set()

    def __getitem__(self, node: str) -> Connection:
        return self._connections[node]

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Run a blocking call in a thread, so that an event loop need not wait for it."""
        future = self._threads.submit(call)
        self._calls.add(future)
        future.add_done_callback(self._calls.discard)
        return future

    def settle(self) -> None:
        """Return when no call runs any more; those that had not begun never will. Each has a time limit of its own."""
        calls = list(self._calls)
        wait([call for call in calls if not call.cancel()])

    def each(self, call: Callable[[str, Connection], T], nodes: Sequence[str] | None = None) -> dict[str, T]:
        """Call for each node at once, in threads; wait for all; then raise the first node's error, if any."""
        chosen = tuple(self._connections if nodes is None else nodes)
        futures = {node: self.submit(partial(call, node, self._connections[node])) for node in chosen}
        errors = [error for future in futures.values() if (error := future.exception()) is not None]
        if errors:
            raise errors[0]
        return {node: future.result() for node, future in futures.items()}

    def close(self) -> None:
        """Hang up everywhere and end the threads. Never raises."""
        for connection in self._connections.values():
            connection.close()
        self._threads.shutdown(wait=True, cancel_futures=True)


def _connect(host: Host) -> paramiko.SSHClient:
    client = paramiko.SSHClient()
    known = Path(host.known_hosts).expanduser()
    if not known.exists():
        raise FileNotFoundError(f"there is no known_hosts file {known}")
    client.load_host_keys(str(known))
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    limit_s = CONNECT_TIMEOUT_S * host.slowness
    connection = socket.create_connection((host.address, host.port), limit_s)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.connect(
            host.address, port=host.port, username=host.user, sock=connection,
            key_filename=str(Path(host.key).expanduser()) if host.key else None,
            allow_agent=not host.key, look_for_keys=not host.key,
            timeout=limit_s, banner_timeout=limit_s, auth_timeout=limit_s, channel_timeout=limit_s,
        )  # fmt: skip
    except BaseException:
        client.close()
        connection.close()
        raise
    transport = client.get_transport()
    assert transport is not None, "connect() has just succeeded"
    transport.set_keepalive(KEEPALIVE_S)
    return client


def _refusal(host: Host, error: BaseException) -> ControlError:
    """What went wrong while connecting, and what to do about it."""
    if isinstance(error, paramiko.AuthenticationException):
        hint = f"is {host.key or 'a key of the SSH agent'} allowed in for user {host.user}?"
    elif isinstance(error, paramiko.BadHostKeyException) or "not found in known_hosts" in str(error):
        hint = f"its host key is not the one in {host.known_hosts}; check it, then add it with ssh-keyscan."
    elif isinstance(error, FileNotFoundError):
        hint = "correct the inventory."
    else:
        hint = "is sshd running there? `quorate hosts list` names the clusters that are up."
    return ControlError(f"{host.label} refuses SSH: {_reason(error)}; {hint}")


def _reason(error: BaseException) -> str:
    """The error in plain words."""
    if isinstance(error, ConnectionRefusedError | paramiko.ssh_exception.NoValidConnectionsError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, EOFError):
        return "the connection was lost"
    if isinstance(error, OSError) and error.strerror and not error.filename:
        return error.strerror.lower()
    return str(error).rstrip(".") or type(error).__name__


def _short(script: str) -> str:
    """A command for a message: its first line, at most 80 characters."""
    line = script.strip().splitlines()[0] if script.strip() else ""
    return line if len(line) <= 80 else line[:77] + "..."


def _collect(channel: paramiko.Channel, deadline: float) -> tuple[str, str, int]:
    """Standard output, standard error, exit status. Raises TimeoutError at the deadline."""
    parts: dict[str, list[bytes]] = {"out": [], "err": []}
    for name, receive in (("out", channel.recv), ("err", channel.recv_stderr)):
        while True:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            channel.settimeout(left_s)
            chunk = receive(65536)
            if not chunk:
                break
            parts[name].append(chunk)
    if not channel.status_event.wait(max(0.0, deadline - time.monotonic())):
        raise TimeoutError
    texts = {name: b"".join(chunks).decode(errors="replace") for name, chunks in parts.items()}
    return texts["out"], texts["err"], channel.recv_exit_status()
