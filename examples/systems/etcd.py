"""etcd, as a system under test: three members, one Raft log; a read goes through a majority before it is answered.

    client on n2 ── GET, SET ──► n2 ─► leader ─► majority        linearizable reads, etcd's default
         └───────── GET ───────► n2                              `reads = "serializable"`: what this member has; may be stale

It speaks etcd's JSON over HTTP, one connection a client. (etcd documentation, "KV API guarantees"; Jepsen, "etcd 3.4.3", 2020.)
"""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from harness.plan import PlanError
from harness.system import Deployment, SystemFault

CLIENTS, PEERS = 2379, 2380
DATA = "/var/lib/quorate/etcd"


def coded(text: bytes) -> str:
    return b64encode(text).decode()


class EtcdChannel:
    """One client's connection to one member."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, serializable: bool
    ) -> None:
        self.reader, self.writer, self.serializable = reader, writer, serializable

    async def request(self, command: Sequence[bytes], *, timeout_s: float) -> Any:
        """GET key, SET key value; an error is returned, not raised."""
        word, key, *value = command
        if word == b"SET":
            return await asyncio.wait_for(
                self.post("kv/put", {"key": coded(key), "value": coded(*value)}), timeout_s
            )
        asked = {"key": coded(key), "serializable": self.serializable}
        answer = await asyncio.wait_for(self.post("kv/range", asked), timeout_s)
        if isinstance(answer, Exception):
            return answer
        return b64decode(answer["kvs"][0]["value"]) if "kvs" in answer else None

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        text = json.dumps(body).encode()
        self.writer.write(
            b"POST /v3/%b HTTP/1.1\r\nHost: etcd\r\nContent-Length: %d\r\n\r\n%b"
            % (path.encode(), len(text), text)
        )
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        (length,) = re.findall(rb"content-length: (\d+)", head)
        answer = await self.reader.readexactly(int(length))
        return json.loads(answer) if head.split()[1] == b"200" else RuntimeError(f"ETCD {answer.decode()}")

    async def close(self) -> None:
        self.writer.close()


class Etcd:
    """The system: `harness.system.SystemUnderTest`."""

    name = "etcd"

    def __init__(self, options: Mapping[str, Any], nodes: Sequence[str]) -> None:
        self.nodes, self.reads = tuple(nodes), options.get("reads", "linearizable")
        if not options.keys() <= {"reads"} or self.reads not in ("linearizable", "serializable"):
            raise PlanError(
                f'[system] etcd has one option, reads = "linearizable" or "serializable", not {dict(options)}'
            )

    def describe(self) -> Mapping[str, Any]:
        return {"name": self.name, "reads": self.reads}

    def deployment(self) -> Deployment:
        return Deployment(
            directory="/opt/quorate-etcd",
            files=self.files,
            command=("etcd", "--config-file", "etcd.json"),
            client_port=CLIENTS,
            data_directory=DATA,
            log_file="/var/log/quorate-etcd.log",
            requires=self.requires,
        )

    def files(self, node: str, addresses: Mapping[str, str]) -> Mapping[str, bytes]:
        peers = {each: f"http://{addresses[each]}:{PEERS}" for each in self.nodes}
        clients = f"http://{addresses[node]}:{CLIENTS}"
        settings = {
            "name": node, "data-dir": f"{DATA}/member", "enable-grpc-gateway": True, "logger": "zap", "log-level": "warn",
            "listen-peer-urls": peers[node], "initial-advertise-peer-urls": peers[node],
            "listen-client-urls": clients, "advertise-client-urls": clients,
            "initial-cluster": ",".join(f"{each}={url}" for each, url in peers.items()),
        }  # fmt: skip
        return {"/opt/quorate-etcd/etcd.json": json.dumps(settings).encode()}

    def requires(self, run: Any) -> None:
        if not run("command -v etcd"):
            raise SystemFault("there is no etcd; install it with `apt-get install etcd-server`")

    async def dial(self, host: str, port: int, *, timeout_s: float) -> EtcdChannel:
        streams = await asyncio.wait_for(asyncio.open_connection(host, port), timeout_s)
        return EtcdChannel(*streams, serializable=self.reads == "serializable")

    async def ready(self, channel: EtcdChannel) -> bool:
        return not isinstance(await channel.post("kv/range", {"key": coded(b"any")}), Exception)
