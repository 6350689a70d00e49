"""The store on real hosts: what is uploaded, how a node starts, and how clients reach it.

bundle ─► /opt/quorate-store      python3 -m kvstore --config node.toml
node.toml, readable by root only  one password for all nodes of this process, never logged
data   ─► /var/lib/quorate/store  the host's disk
"""

from __future__ import annotations

import json
import platform
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from harness.client import Channel, ChannelError
from harness.system import Deployment, SystemFault
from kvstore.bundle import build_bundle
from kvstore.client import ChannelLost, SocketChannel, StoreError
from kvstore.config import from_toml
from workloads.kvstore_system import BUCKET_OPTIONS, NODE_OPTIONS

CLIENT_PORT: Final = 7000
PEER_PORT: Final = 7100
DIRECTORY: Final = "/opt/quorate-store"
DATA: Final = "/var/lib/quorate/store"
PASSWORD: Final = secrets.token_urlsafe(24)
"""Of every node this process starts. Made here, for nodes are prepared in threads: a cached function may be called by two of them at once."""


class HostChannel:
    """A store client's socket, with errors in the harness's words. `patience_s`: how long an answer about the node itself may take."""

    def __init__(self, channel: SocketChannel, patience_s: float) -> None:
        self._channel, self.patience_s = channel, patience_s

    async def request(self, command: Sequence[bytes], *, timeout_s: float) -> Any:
        """Send one command and wait for its answer. Raises ChannelError."""
        try:
            return await self._channel.request(command, timeout_s=timeout_s)
        except ChannelLost as error:
            raise ChannelError(str(error), definite=error.definite) from error

    async def close(self) -> None:
        """Close. Never raises."""
        await self._channel.close()


def deployment(
    options: Mapping[str, Any], members: Sequence[str], learned: Callable[[Mapping[str, str]], None]
) -> Deployment:
    """How the store with these options (the plan's [system] table) gets on a host.

    `members` form the ring at first, the other nodes wait to be taken in; `learned` hears the nodes' addresses.
    """

    def files(node: str, addresses: Mapping[str, str]) -> Mapping[str, bytes]:
        learned(addresses)
        return {f"{DIRECTORY}/node.toml": node_toml(node, addresses, options, members).encode()}

    return Deployment(
        bundle=build_bundle,
        directory=DIRECTORY,
        files=files,
        command=("python3", "-m", "kvstore", "--config", "node.toml"),
        environment={},
        client_port=CLIENT_PORT,
        data_directory=DATA,
        log_file="/var/log/quorate-store.log",
        requires=require_same_python,
        data_files={"table": "{node}.data/store.sqlite3", "log": "{node}.data/store.sqlite3-wal"},
    )


def node_toml(
    node: str, addresses: Mapping[str, str], options: Mapping[str, Any], members: Sequence[str]
) -> str:
    """One node's configuration, checked as the node itself will check it. Raises kvstore.config.ConfigError."""
    top: dict[str, Any] = {
        "name": node,
        "data": f"{DATA}/{node}.data",
        "client": f"{addresses[node]}:{CLIENT_PORT}",
        "peer": f"{addresses[node]}:{PEER_PORT}",
        "password": PASSWORD,
        "secret": PASSWORD,
        "joining": node not in members,
        "replace": True,  # an emptied disk waits until the node is replaced: the fault `wipe` sees to that
        **{name: options[name] for name in ("bugs", *NODE_OPTIONS) if name in options},
    }
    bucket = {name: options[name] for name in BUCKET_OPTIONS if options.get(name) is not None}
    peers = {peer: f"{addresses[peer]}:{PEER_PORT}" for peer in members if peer != node}
    lines = [*_lines(top), "", "[peers]", *_lines(peers), "", "[bucket]", *_lines(bucket)]
    text = "\n".join(lines) + "\n"
    from_toml(text, f"the configuration of {node}")
    return text


def _lines(table: Mapping[str, Any]) -> list[str]:
    return [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in table.items()]


def require_same_python(run: Callable[[str], str]) -> None:
    """The bundle holds compiled packages of this Python and processor. Raises SystemFault if the host has others."""
    wanted = f"{sys.version_info.major}.{sys.version_info.minor} {platform.machine()}"
    probe = "import sys, platform; print(*sys.version_info[:2], sep='.', end=' '); print(platform.machine())"
    found = run(f'python3 -c "{probe}"').strip()
    if found != wanted:
        raise SystemFault(
            f"python3 there is {found or 'missing'}, and the store was packed for {wanted}: install that."
        )


async def dial(host: str, port: int, *, timeout_s: float) -> Channel:
    """Connect and authenticate. Raises ChannelError."""
    try:
        channel = await SocketChannel.connect(host, port, timeout_s=timeout_s, password=PASSWORD)
    except ChannelLost as error:
        raise ChannelError(str(error), definite=error.definite) from error
    except StoreError as error:
        raise ChannelError(str(error), definite=True) from error
    return HostChannel(channel, timeout_s)


async def ready(channel: Channel) -> bool:
    """True when the node hears a majority of its peers."""
    answer = await channel.request([b"KV.CLUSTER", b"STATUS"], timeout_s=2.0)
    pairs = dict(zip(answer[::2], answer[1::2], strict=True)) if isinstance(answer, list) else answer
    return isinstance(pairs, Mapping) and pairs.get(b"ready") == 1
