"""A sixth node joins five under load: failed requests, and the p99 meanwhile against the steady one.

    python benchmarks/join_under_load.py            about a minute

Six processes on loopback, mode register, N=3, 20,000 keys of 200 B; clients write and read by turns, at all nodes, and try once more at another
node. Processes and clients share the processors with whatever else runs. Exit status 1 if a request failed twice, or the p99 grew more than threefold.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from kvstore.client import ChannelLost, SocketChannel
from tests.kvstore.live import LiveCluster, free_ports
from tests.kvstore.patient import KEYS, VALUE, PatientLoad

STEADY_S = 8.0
JOIN_S_MAX = 120.0
RISE_MAX = 3.0


def newcomer(cluster: LiveCluster, folder: Path) -> int:
    """Add the configuration of n6, which waits to be taken in; its port for peers."""
    client, peer = free_ports(2)
    peers = "\n".join(f'{name} = "127.0.0.1:{port}"' for name, port in cluster.peer_ports.items())
    (folder / "n6.toml").write_text(
        f'name = "n6"\ndata = "{folder / "n6"}"\nclient = "127.0.0.1:{client}"\npeer = "127.0.0.1:{peer}"\njoining = true\n'
        f'[peers]\n{peers}\n[bucket]\nmode = "register"\n'
    )
    cluster.ports["n6"] = client
    return peer


async def status(channel: SocketChannel) -> dict[bytes, Any]:
    """What a member says of the cluster."""
    answer = await channel.request([b"KV.CLUSTER", b"STATUS"], timeout_s=10.0)
    return dict(zip(answer[::2], answer[1::2], strict=True))


async def fill(channels: list[SocketChannel]) -> None:
    """Write every key once."""

    async def share(at: int, channel: SocketChannel) -> None:
        for key in range(at, KEYS, len(channels)):
            await channel.request([b"SET", b"key-%d" % key, VALUE], timeout_s=30.0)
        await channel.close()

    await asyncio.gather(*(share(at, channel) for at, channel in enumerate(channels)))


async def play(cluster: LiveCluster, peer: int, clients: int) -> bool:
    """The load, then the join; whether it was borne."""
    members = list(cluster.names)

    async def dial(node: str) -> SocketChannel:
        return await SocketChannel.connect("127.0.0.1", cluster.ports[node], timeout_s=2.0)

    await fill([await dial(node) for node in members * 8])
    load = PatientLoad(dial, members, ChannelLost)
    running = asyncio.create_task(load.run(clients))
    await asyncio.sleep(2.0)
    steady_at = time.monotonic()
    await asyncio.sleep(STEADY_S)
    join_at = time.monotonic()
    admin = await dial("n1")
    begun = await admin.request([b"KV.CLUSTER", b"JOIN", b"n6", f"127.0.0.1:{peer}".encode()], timeout_s=10.0)
    if isinstance(begun, Exception):
        raise SystemExit(f"the join was refused: {begun}")
    while (now := await status(admin))[b"change"] is not None or b"n6" not in now[b"nodes"][::2]:
        if time.monotonic() - join_at > JOIN_S_MAX:
            raise SystemExit(f"the join has not ended within {JOIN_S_MAX:.0f} s: {now[b'change']}")
        await asyncio.sleep(0.1)
    end = time.monotonic()
    load.over = True
    await running
    await admin.close()
    steady_ms, join_ms = load.p99_ms(steady_at, join_at), load.p99_ms(join_at, end)
    during = sum(join_at <= at < end for at, _ in load.took)
    before = sum(steady_at <= at < join_at for at, _ in load.took)
    print(f"steady: {before / STEADY_S:,.0f} ops/s, p99 {steady_ms:.1f} ms")
    owned = dict(zip(now[b"nodes"][::2], now[b"nodes"][1::2], strict=True))[b"n6"]
    print(f"n6 owns {dict(zip(owned[::2], owned[1::2], strict=True))[b'partitions']} of 256 partitions")
    print(
        f"join, {end - join_at:.1f} s: {during / (end - join_at):,.0f} ops/s, p99 {join_ms:.1f} ms, {join_ms / steady_ms:.1f} times (target <= {RISE_MAX:.0f})"
    )
    print(
        f"{load.retried} requests were tried twice, {len(load.failed)} failed twice (target 0) {load.failed[:3]}"
    )
    return not load.failed and join_ms <= RISE_MAX * steady_ms


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cluster = LiveCluster(folder, 5, bucket='mode = "register"')
        with contextlib.ExitStack() as stack:
            stack.callback(cluster.stop_all)
            cluster.start_all()
            peer = newcomer(cluster, folder)
            cluster.start("n6")
            return 0 if asyncio.run(play(cluster, peer, options.clients)) else 1


if __name__ == "__main__":
    sys.exit(main())
