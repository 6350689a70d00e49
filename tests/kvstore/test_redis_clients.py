"""Redis' own clients work as they are: redis-py (sync, async, both protocols, cluster), redis-cli and redis-benchmark."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.cluster import RedisCluster

from kvstore.ring import slot_of
from tests.kvstore.live import LiveCluster, ask, live_cluster
from tests.polling import poll

pytestmark = pytest.mark.slow
WAIT_S = 300.0
needs_tools = pytest.mark.skipif(
    shutil.which("redis-cli") is None,
    reason="redis-cli and redis-benchmark are not installed (Debian: redis-tools)",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    buckets = '[buckets.counts]\nmode = "cas"\n[buckets.tags]\nmode = "crdt"\ntype = "or-set"\n[buckets.cache]\nmode = "quorum"'
    with live_cluster(tmp_path_factory.mktemp("redis"), 3, bucket=f'mode = "register"\n{buckets}') as cluster:
        for name in cluster.names:
            slots_known(cluster, name, set(cluster.ports.values()))
        yield cluster


def slots_known(cluster: LiveCluster, name: str, first: set[int]) -> None:
    """Wait until the node tells just these ports as those to be asked first."""

    def rows() -> Any:
        (told,) = ask(cluster.ports[name], [b"CLUSTER", b"SLOTS"])
        assert isinstance(told, list)
        return told

    def known() -> bool:
        told = rows()
        return {row[2][1] for row in told} == first and sum(row[1] - row[0] + 1 for row in told) == 16384

    poll(known, wait_s=WAIT_S, told=lambda: f"{name} tells {rows()}")


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py(made: LiveCluster, protocol: int) -> None:
    with redis.Redis(port=made.ports["n1"], protocol=protocol) as client:
        assert client.set("a", "1")
        assert client.get("a") == b"1"
        assert client.type("a") == b"string"
        assert client.type("none") == b"none"
        assert client.mget("a", "none") == [b"1", None]
        with client.pipeline(transaction=False) as pipe:
            assert pipe.set("p", "2").get("p").strlen("p").delete("p").execute() == [True, b"2", 1, 1]
    with redis.Redis(port=made.ports["n2"], protocol=protocol, db=1) as counts:
        before = counts.incr("n")
        assert counts.incrby("n", 5) == before + 5
    with redis.Redis(port=made.ports["n3"], protocol=protocol, db=2) as tags:
        tags.sadd("s", "x", "y")
        assert set(tags.smembers("s")) >= {b"x", b"y"}
        assert tags.type("s") == b"set"


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_sets_and_reads_deadlines(made: LiveCluster, protocol: int) -> None:
    key, now_s = f"cached-{protocol}", int(time.time())
    with (
        redis.Redis(port=made.ports["n1"], protocol=protocol, db=3) as one,
        redis.Redis(port=made.ports["n2"], protocol=protocol, db=3) as other,
    ):
        assert one.set(key, "v", ex=100)
        assert 50 <= other.ttl(key) <= 100
        assert other.expire(key, 1000)
        assert 950_000 < one.pttl(key) <= 1_000_000
        assert one.persist(key)
        assert not one.persist(key)
        assert (other.ttl(key), other.ttl("none"), other.pttl("none")) == (-1, -2, -2)
        assert one.expireat(key, now_s + 500)
        assert one.expiretime(key) == other.expiretime(key) == now_s + 500
        assert one.pexpireat(key, 1_000 * now_s + 400_250)
        assert other.pexpiretime(key) == 1_000 * now_s + 400_250
        assert one.execute_command("SETEX", key, 50, "w")
        assert one.execute_command("PSETEX", key, 60_000, "x")
        assert one.set(key, "y", exat=now_s + 70)
        assert one.set(key, "z", pxat=1_000 * now_s + 80_000)
        assert other.get(key) == b"z"
        assert one.set(key, "zz", keepttl=True)
        assert other.getex(key) == b"zz"
        assert 30 <= other.ttl(key) <= 80
        assert other.getex(key, persist=True) == b"zz"
        assert one.ttl(key) == -1
        assert one.getex(key, ex=60) == b"zz"
        assert 10 <= other.ttl(key) <= 60
        assert other.pexpire(key, 150)
        poll(lambda: one.get(key) is None, wait_s=WAIT_S)
        assert one.exists(key) == 0
        assert key.encode() not in set(other.scan_iter())
        assert not other.expire("none", 10)
        with pytest.raises(redis.ResponseError, match="WRONGCLASS"):
            one.set(key, "v", ex=10, nx=True)
        with pytest.raises(redis.ResponseError, match="invalid expire time"):
            one.set(key, "v", ex=0)
    with redis.Redis(port=made.ports["n3"], protocol=protocol) as registers:  # db 0, mode register
        with pytest.raises(redis.ResponseError, match="WRONGCLASS"):
            registers.set(key, "v", ex=10)
        with pytest.raises(redis.ResponseError, match="WRONGCLASS"):
            registers.expire(key, 10)
        assert registers.get(key) is None


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_async(made: LiveCluster, protocol: int) -> None:
    async def work() -> list[bytes | None]:
        client = redis.asyncio.Redis(port=made.ports["n2"], protocol=protocol)
        try:
            await asyncio.gather(*(client.set(f"async-{n}", n) for n in range(50)))
            return await client.mget([f"async-{n}" for n in range(50)])
        finally:
            await client.aclose()

    assert asyncio.run(work()) == [b"%d" % n for n in range(50)]


def test_scan_goes_through_the_whole_cluster(made: LiveCluster) -> None:
    with redis.Redis(port=made.ports["n1"]) as client:
        client.mset({f"scan:{n}": n for n in range(300)})
    with redis.Redis(port=made.ports["n2"]) as other:
        found = list(other.scan_iter(match="scan:*", count=50))
        assert set(found) == {b"scan:%d" % n for n in range(300)}
        assert len(found) == 300
        assert list(other.scan_iter(match="scan:1?", _type="string")) != []


def test_slots_and_shards_tell_the_same(made: LiveCluster) -> None:
    slots, shards, info, listed, mine, slot = ask(
        made.ports["n1"], [b"CLUSTER", b"SLOTS"], [b"CLUSTER", b"SHARDS"], [b"CLUSTER", b"INFO"], [b"CLUSTER", b"NODES"],
        [b"CLUSTER", b"MYID"], [b"CLUSTER", b"KEYSLOT", b"{user}.name"],
    )  # fmt: skip
    assert isinstance(slots, list)
    assert isinstance(shards, list)
    first = {at: row[2][2] for row in slots for at in range(row[0], row[1] + 1)}
    assert len(first) == 16384
    for shard in shards:
        found = dict(zip(shard[::2], shard[1::2], strict=True))
        masters = [dict(zip(each[::2], each[1::2], strict=True)) for each in found[b"nodes"]]
        (master,) = [each[b"id"] for each in masters if each[b"role"] == b"master"]
        assert len(masters) == 3
        assert {first[at] for at in found[b"slots"]} == {master}
    assert isinstance(info, bytes)
    assert b"cluster_state:ok" in info
    assert isinstance(listed, bytes)
    (own,) = [line for line in listed.splitlines() if b"myself" in line]
    assert own.startswith(mine)  # type: ignore[arg-type]
    assert slot == slot_of(b"user")


def test_a_cluster_client_routes_and_goes_on_when_a_node_dies(tmp_path: Path) -> None:
    with live_cluster(tmp_path, 3, bucket='mode = "register"') as cluster:
        everybody = set(cluster.ports.values())
        for name in cluster.names:
            slots_known(cluster, name, everybody)
        client = RedisCluster(host="127.0.0.1", port=cluster.ports["n1"])
        keys = [f"key-{n}" for n in range(200)]
        for key in keys:
            assert client.set(key, key.upper())
        assert {client.get_node_from_key(key).port for key in keys} == everybody
        cluster.stop("n3", signal.SIGKILL)
        for name in ("n1", "n2"):
            slots_known(cluster, name, everybody - {cluster.ports["n3"]})
        assert [client.get(key) for key in keys] == [key.upper().encode() for key in keys]
        assert client.set("key-0", "again")
        assert client.get("key-0") == b"again"
        client.close()


@pytest.mark.parametrize("protocol", [2, 3])
def test_cluster_clients_of_both_kinds_and_protocols_reach_every_key(
    made: LiveCluster, protocol: int
) -> None:
    port, keys = made.ports["n1"], [f"routed-{protocol}-{n}" for n in range(60)]
    with RedisCluster(host="127.0.0.1", port=port, protocol=protocol) as client:
        assert all(client.set(key, key) for key in keys)
        assert client.mget_nonatomic(keys) == [key.encode() for key in keys]
        assert {client.get_node_from_key(key).port for key in keys} == set(made.ports.values())

    async def work() -> list[bytes | None]:
        other = redis.asyncio.RedisCluster(host="127.0.0.1", port=port, protocol=protocol)
        try:
            assert all(await asyncio.gather(*(other.set(key, key.upper()) for key in keys)))
            return await asyncio.gather(*(other.get(key) for key in keys))
        finally:
            await other.aclose()

    assert asyncio.run(work()) == [key.upper().encode() for key in keys]


def test_command_says_where_the_keys_are(made: LiveCluster) -> None:
    with redis.Redis(port=made.ports["n1"]) as client:
        rows = client.command()
        spec = {
            name: (row["arity"], row["first_key_pos"], row["last_key_pos"], row["step_count"])
            for name, row in rows.items()
        }
    assert spec["get"] == (2, 1, 1, 1)
    assert spec["set"] == (-3, 1, 1, 1)
    assert spec["mset"] == (-3, 1, -1, 2)
    assert spec["del"] == (-2, 1, -1, 1)
    assert spec["ping"][1:] == (0, 0, 0)
    assert spec["kv.put"][1:] == (1, 1, 1)
    assert spec["kv.cluster"][1:] == (0, 0, 0)


@needs_tools
def test_redis_cli(made: LiveCluster) -> None:
    def cli(*words: str) -> str:
        command = ["redis-cli", "-p", str(made.ports["n1"]), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    assert cli("SET", "cli", "hello world") == "OK\n"
    assert cli("GET", "cli") == "hello world\n"
    assert cli("-3", "GET", "cli") == "hello world\n"
    assert cli("-c", "GET", "cli") == "hello world\n"
    assert cli("DEL", "cli", "none") == "1\n"
    assert cli("SET", "cli", "1", "EX", "5").startswith("WRONGCLASS")
    cli("MSET", "told:1", "a", "told:2", "b")
    assert sorted(cli("--scan", "--pattern", "told:*").split()) == ["told:1", "told:2"]
    assert cli("--raw", "MGET", "told:1", "told:2", "none") == "a\nb\n\n"


@needs_tools
def test_redis_cli_reads_commands_from_its_input(made: LiveCluster) -> None:
    """A script, line by line; and in bulk, all sent before the answers are read."""
    command = ["redis-cli", "-p", str(made.ports["n2"])]

    def fed(text: bytes, *words: str) -> str:
        done = subprocess.run([*command, *words], input=text, capture_output=True, check=True, timeout=120)
        return done.stdout.decode()

    script = (
        b'SELECT 1\nSET piped 1\nINCR piped\nGET piped\nNOSUCH\nSET "two words" "\\x41"\nGET "two words"\n'
    )
    lines = fed(script).splitlines()
    assert [line for line in lines if line] == ["OK", "OK", "2", "2", lines[4], "OK", "A"]
    assert lines[4].startswith("ERR unknown command")
    bulk = b"".join(b"*3\r\n$3\r\nSET\r\n$7\r\nbulk:%02d\r\n$1\r\nv\r\n" % number for number in range(50))
    assert fed(bulk, "--pipe").endswith("errors: 0, replies: 50\n")


@needs_tools
@pytest.mark.parametrize("way", [(), ("-P", "16"), ("--cluster",)], ids=["plain", "pipelined", "cluster"])
def test_redis_benchmark(made: LiveCluster, way: tuple[str, ...]) -> None:
    command = [
        *("redis-benchmark", *way),
        "-p",
        str(made.ports["n1"]),
        "-n",
        "400",
        "-c",
        "10",
        "-t",
        "set,get",
        "--csv",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    rows = [line.split(",") for line in done.stdout.splitlines() if line.startswith(('"SET', '"GET'))]
    rates = {row[0].strip('"'): float(row[1].strip('"')) for row in rows}
    assert set(rates) == {"SET", "GET"}
    assert all(rates.values())
