"""Siblings, CRDTs and sessions on real nodes: over sockets and SQLite, through redis-py, over a SIGKILL."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from live import LiveCluster, live_cluster
from redis.backoff import NoBackoff
from redis.retry import Retry

pytestmark = pytest.mark.slow
BUCKETS = """
[buckets.basket]
mode = "crdt"
type = "or-set"
n = 2

[buckets.tally]
mode = "crdt"
type = "pn-counter"
n = 2

[buckets.seen]
mode = "session"
"""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    """Two replicas on three nodes, so that some node always has to forward."""
    folder: Path = tmp_path_factory.mktemp("nodes")
    bucket = 'mode = "siblings"\nn = 2\n' + BUCKETS
    with live_cluster(folder, bucket=bucket, more='secret = "s"') as cluster:
        yield cluster


def client(nodes: LiveCluster, name: str, number: int = 0) -> redis.Redis[bytes]:
    return redis.Redis(
        port=nodes.ports[name], db=number, protocol=2, socket_timeout=60, retry=Retry(NoBackoff(), 0)
    )


def shown(client: Any, key: str) -> dict[bytes, Any]:
    answer = client.execute_command("KV.GET", key)
    return dict(zip(answer[::2], answer[1::2], strict=True))


def test_siblings_through_every_node(nodes: LiveCluster) -> None:
    one, two, three = (client(nodes, name) for name in nodes.names)
    one.set("k", "1")
    three.set("k", "2")
    found = shown(two, "k")
    assert sorted(found[b"values"]) == [b"1", b"2"]
    with pytest.raises(redis.ResponseError, match="SIBLINGS"):
        one.get("k")
    three.execute_command("KV.PUT", "k", "3", "CTX", found[b"ctx"])
    assert one.get("k") == b"3"


def test_sets_and_counters_survive_a_kill(nodes: LiveCluster) -> None:
    for name in nodes.names:
        assert client(nodes, name, 1).sadd("s", "all", name) == 2
        client(nodes, name, 2).incrby("c", 5)
    nodes.stop("n2", signal.SIGKILL)
    nodes.start("n2")
    for name in nodes.names:
        nodes.wait_answering(name)
    assert client(nodes, "n2", 1).srem("s", "all") == 1
    assert client(nodes, "n2", 2).decr("c") >= 0
    for name in nodes.names:
        assert client(nodes, name, 1).smembers("s") == {b"n1", b"n2", b"n3"}
        assert client(nodes, name, 2).get("c") == b"14"


def test_a_session_goes_on_at_another_node(nodes: LiveCluster) -> None:
    with client(nodes, "n1", 3).client() as here, client(nodes, "n3", 3).client() as there:
        here.set("x", "1")
        token = here.execute_command("KV.SESSION", "TOKEN")
        there.execute_command("KV.SESSION", "RESUME", token)
        assert there.get("x") == b"1"
        assert shown(there, "x")[b"values"] == [b"1"]
