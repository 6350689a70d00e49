"""Redis with replicas, as a system under test: n1 is the primary, and a client reads from the replica that it is on.

    client on n2 ── GET ──► n2 (replica)      answers from what has reached it: the read may be stale
         └───────── SET ──► n1 (primary) ─ ─► n2, n3      later, and nobody waits for it

`reads = "primary"` in the plan's [system] sends reads to the primary too. (Redis documentation, "Redis replication".)
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import hiredis

from harness.plan import PlanError
from harness.system import Deployment, SystemFault

PORT = 6379
CONF = """
port 6379
bind 0.0.0.0
protected-mode no
dir /var/lib/quorate/redis
appendonly yes
appendfsync always
save ""
repl-diskless-sync-delay 0
"""


class Wire:
    """A socket that speaks Redis's protocol."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer, self.parser = reader, writer, hiredis.Reader()

    async def ask(self, *command: bytes) -> Any:
        """The answer; an error is returned, not raised."""
        self.writer.write(hiredis.pack_command(command))
        while (answer := self.parser.gets()) is False:
            if not (data := await self.reader.read(65536)):
                raise EOFError("the server hung up")
            self.parser.feed(data)
        return answer


class RedisChannel:
    """One client: where its reads go, and where its writes."""

    def __init__(self, here: Wire, primary: Wire, reads: Wire) -> None:
        self.here, self.primary, self.reads = here, primary, reads

    async def request(self, command: Sequence[bytes], *, timeout_s: float) -> Any:
        """GET key, SET key value: Redis answers them as the workload `register` wants it."""
        wire = self.reads if command[0] == b"GET" else self.primary
        return await asyncio.wait_for(wire.ask(*command), timeout_s)

    async def close(self) -> None:
        self.here.writer.close()
        self.primary.writer.close()


class Redis:
    """The system: `harness.system.SystemUnderTest`."""

    name = "redis"

    def __init__(self, options: Mapping[str, Any], nodes: Sequence[str]) -> None:
        self.nodes, self.reads = tuple(nodes), options.get("reads", "replica")
        if not options.keys() <= {"reads"} or self.reads not in ("replica", "primary"):
            raise PlanError(
                f'[system] redis has one option, reads = "replica" or "primary", not {dict(options)}'
            )

    def describe(self) -> Mapping[str, Any]:
        return {"name": self.name, "reads": self.reads}

    def deployment(self) -> Deployment:
        return Deployment(
            directory="/opt/quorate-redis",
            files=self.files,
            command=("redis-server", "redis.conf"),
            client_port=PORT,
            data_directory="/var/lib/quorate/redis",
            log_file="/var/log/quorate-redis.log",
            requires=self.requires,
        )

    def files(self, node: str, addresses: Mapping[str, str]) -> Mapping[str, bytes]:
        primary = self.nodes[0]
        role = "" if node == primary else f"replicaof {addresses[primary]} {PORT}\n"
        return {"/opt/quorate-redis/redis.conf": (CONF + role).encode()}

    def requires(self, run: Any) -> None:
        if not run("command -v redis-server"):
            raise SystemFault("there is no redis-server; install it with `apt-get install redis-server`")

    async def dial(self, host: str, port: int, *, timeout_s: float) -> RedisChannel:
        here = primary = await self.connect(host, port, timeout_s)
        try:
            role = await here.ask(b"ROLE")  # of a replica: slave, its primary's address, their link
            if role[0] == b"slave":
                primary = await self.connect(role[1].decode(), role[2], timeout_s)
        except BaseException:
            here.writer.close()
            raise
        return RedisChannel(here, primary, reads=here if self.reads == "replica" else primary)

    async def connect(self, host: str, port: int, timeout_s: float) -> Wire:
        return Wire(*await asyncio.wait_for(asyncio.open_connection(host, port), timeout_s))

    async def ready(self, channel: RedisChannel) -> bool:
        role = await channel.here.ask(b"ROLE")
        return role[0] == b"master" or role[3] == b"connected"
