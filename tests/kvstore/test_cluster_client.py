"""The Python client against three real nodes: routing, retries that count once, errors, sessions, TLS, logins."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from kvstore import (
    ConditionFailed,
    DefiniteError,
    MaybeAppliedError,
    QuorateClient,
    blocking_client,
    client_calls,
    quorate_client,
)
from kvstore.client import ChannelLost, SocketChannel
from kvstore.client_core import CallError
from kvstore.sync_client import BlockingClient
from tests.kvstore.live import LiveCluster, ask, live_cluster
from tests.kvstore.test_tls import Secured, trusting
from tests.polling import poll

pytestmark = pytest.mark.slow
BUCKETS = """mode = "cas"
[buckets.plain]
mode = "quorum"
[buckets.both]
mode = "siblings"
[buckets.tags]
mode = "crdt"
type = "or-set"
[buckets.hits]
mode = "crdt"
type = "pn-counter"
[buckets.lit]
mode = "crdt"
type = "ew-flag"
[buckets.docs]
mode = "crdt"
type = "or-map"
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    with live_cluster(tmp_path_factory.mktemp("client"), 3, bucket=BUCKETS) as made:
        yield made


def nodes(made: LiveCluster) -> list[str]:
    return [f"127.0.0.1:{port}" for port in made.ports.values()]


def test_each_mode_has_its_operations(live: LiveCluster) -> None:
    async def scenario() -> None:
        async with quorate_client(*nodes(live)) as store:
            assert await store.get("nothing") is None
            made = await store.cas("k", "one", None)
            assert made.version == 1
            with pytest.raises(ConditionFailed) as told:
                await store.cas("k", "two", 7)
            assert told.value.version == 1
            assert (await store.put("k", "two")).version == 2
            assert (await store.append("k", "-three"), await store.get("k")) == (9, b"two-three")
            assert (await store.incr("n", 5), await store.incr("n", -2), await store.count("n")) == (5, 3, 3)
            assert [await store.delete("k"), await store.delete("k"), await store.get("k")] == [
                True,
                False,
                None,
            ]
            assert await store.command("KV.WHERE", "k", writes=False)
        async with quorate_client(nodes(live)[0], bucket="both") as store:
            await store.put("cart", "milk")
            await store.put("cart", "eggs")
            seen = await store.read("cart")
            assert set(seen.values) == {b"milk", b"eggs"}
            with pytest.raises(DefiniteError, match="SIBLINGS"):
                await store.get("cart")
            await store.put("cart", "milk,eggs", context=seen.context)
            assert await store.get("cart") == b"milk,eggs"
        async with quorate_client(nodes(live)[1], bucket="tags") as store:
            await store.add("post", "a", "b")
            await store.remove("post", "a")
            assert await store.members("post") == {b"b"}
        async with quorate_client(nodes(live)[1], bucket="hits") as store:
            assert [await store.incr("page", 3), await store.count("page")] == [3, 3]
        async with quorate_client(nodes(live)[1], bucket="lit") as store:
            await store.flag("lamp", True)
            assert await store.is_on("lamp")
        async with quorate_client(nodes(live)[1], bucket="docs") as store:
            await store.map_set("doc", "title", "x")
            await store.map_add("doc", "tags", "a")
            assert await store.map_get("doc") == {"r:title": (b"x",), "s:tags": (b"a",)}
            await store.map_delete("doc", "s:tags")
            assert set(await store.map_get("doc")) == {"r:title"}
        async with quorate_client(nodes(live)[1], bucket="plain") as store:
            assert (await store.put("cached", "x", ttl_ms=50_000)).acks >= 2
            assert 0 < await store.command("PTTL", "cached", writes=False) <= 50_000
            with pytest.raises(DefiniteError, match="invalid expire time"):
                await store.put("cached", "x", ttl_ms=0)
        async with quorate_client(nodes(live)[1]) as store:
            with pytest.raises(DefiniteError, match="WRONGCLASS"):
                await store.put("k", "x", ttl_ms=50_000)

    asyncio.run(scenario())


def commands(made: LiveCluster) -> dict[str, int]:
    """How many commands each node has done."""
    found = {}
    for name, port in made.ports.items():
        (info,) = ask(port, [b"INFO"])
        assert isinstance(info, bytes)
        found[name] = int(re.search(rb"total_commands_processed:(\d+)", info)[1])  # type: ignore[index]
    return found


def test_calls_go_to_a_replica_and_all_nodes_have_a_share(live: LiveCluster) -> None:
    async def scenario() -> list[object]:
        async with quorate_client(nodes(live)[0], bucket="plain") as store:
            while len(store.routes.order(b"k", 0.0)) < 3:
                await store.open()  # the nodes learn each other's client ports by gossip
            before = commands(live)
            await store.pipeline([client_calls.put(f"key-{n}", "v") for n in range(300)])
            after = commands(live)
            assert all(after[name] - before[name] > 50 for name in live.names)
            return await store.pipeline([client_calls.get(f"key-{n}") for n in range(300)])

    assert asyncio.run(scenario()) == [b"v"] * 300


def test_a_pipeline_tells_each_error_in_its_place(live: LiveCluster) -> None:
    with blocking_client(*nodes(live)) as store:
        one, two = store.pipeline([client_calls.put("p", "1"), client_calls.add("p", "x")])
        assert one.version >= 1
        assert isinstance(two, DefiniteError)
        assert two.code == "WRONGCLASS"


def test_many_threads_share_a_blocking_client(live: LiveCluster) -> None:
    with blocking_client(*nodes(live)) as store:
        threads = [
            threading.Thread(target=lambda: [store.incr("shared") for _ in range(20)]) for _ in range(5)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert store.count("shared") == 100


def asked_first(store: BlockingClient, name: str) -> str:
    """A key of which this node is the first to be asked."""
    keys = (f"key{number}" for number in range(1000))
    return next(key for key in keys if store.command("KV.WHERE", key, writes=False)[7][0] == name.encode())


def test_closing_a_client_tells_those_who_wait_for_an_answer(live: LiveCluster) -> None:
    """Calls in progress of both clients end with an error, and none goes on over connections that nobody closes."""
    told: dict[str, CallError] = {}

    def caught(name: str, call: Callable[[], object]) -> None:
        with pytest.raises(CallError) as error:
            call()
        told[name] = error.value

    with blocking_client(*nodes(live), attempt_s=600, deadline_s=600) as store:
        key = asked_first(store, "n1")
        live.running["n1"].send_signal(signal.SIGSTOP)
        calls = {"get": lambda: store.get(key), "put": lambda: store.put(key, "x")}
        waiting = [threading.Thread(target=caught, args=each) for each in calls.items()]
        for each in waiting:
            each.start()
        pool = store._client._pool
        poll(lambda: sum(link.busy for links in pool._links.values() for link in links) == 2, wait_s=300)
    for each in waiting:
        each.join(300)
    live.running["n1"].send_signal(signal.SIGCONT)
    assert [told[name].code for name in calls] == ["CLOSED", "CLOSED"]
    assert isinstance(told["get"], DefiniteError)
    assert isinstance(told["put"], MaybeAppliedError)
    with pytest.raises(DefiniteError, match="CLOSED"):
        store.get(key)


def test_a_connection_that_is_given_up_while_it_logs_in_is_closed() -> None:
    async def scenario() -> None:
        ended = asyncio.get_running_loop().create_future()
        asked = asyncio.Event()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"secret")
            asked.set()
            ended.set_result(await reader.read())
            writer.close()

        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            opening = asyncio.create_task(SocketChannel.connect("127.0.0.1", port, password="secret"))
            await asked.wait()
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            with contextlib.suppress(ConnectionResetError):
                await asyncio.wait_for(ended, 300)

    asyncio.run(scenario())


async def counted(store: QuorateClient, outcomes: Counter[str], key: str) -> None:
    try:
        await store.incr(key)
        outcomes["ok"] += 1
    except MaybeAppliedError:
        outcomes["maybe"] += 1
    except DefiniteError:
        outcomes["no"] += 1


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_retries_count_once_while_the_coordinator_dies(tmp_path: Path, blow: int) -> None:
    """The node that all calls go to is killed, or stands still, in their midst: each is tried at another, and counts once."""

    async def scenario(made: LiveCluster) -> None:
        outcomes: Counter[str] = Counter()
        async with quorate_client(*nodes(made), deadline_s=300.0, attempt_s=1.0) as store:
            await store.incr("total")
            first = store.routes.order(b"total", 0.0)[0].port
            victim = next(name for name, port in made.ports.items() if port == first)
            tasks = list[asyncio.Future[None]]()
            while outcomes.total() == len(tasks):  # none is under way: all have been answered at once
                tasks += [asyncio.ensure_future(counted(store, outcomes, "total")) for _ in range(200)]
                enough = len(tasks) - 180
                while outcomes["ok"] < enough:
                    await asyncio.sleep(0)
            made.running[victim].send_signal(blow)
            await asyncio.gather(*tasks)
            assert outcomes == {"ok": len(tasks)}
            assert await store.count("total") == 1 + len(tasks)

    with live_cluster(tmp_path, 3, bucket='mode = "cas"') as made:
        asyncio.run(scenario(made))


class Forgetful(SocketChannel):
    """Loses the answer of every second change after the node has sent it: what a broken connection does."""

    seen = 0

    async def request(self, command: object, *, timeout_s: float) -> object:  # type: ignore[override]
        answer = await super().request(command, timeout_s=timeout_s)  # type: ignore[arg-type]
        if command[0] in (b"KV.INCR", b"KV.PUT"):  # type: ignore[index]
            Forgetful.seen += 1
            if Forgetful.seen % 2:
                self._end("lost on the way")
                raise ChannelLost("lost on the way", definite=False)
        return answer


def test_an_answer_that_was_lost_is_asked_for_again_under_its_id(
    live: LiveCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvstore.client_pool.SocketChannel", Forgetful)
    with blocking_client(*nodes(live)) as store:
        assert [store.incr("lost") for _ in range(10)] == list(range(1, 11))
    with blocking_client(*nodes(live), bucket="plain") as store:
        Forgetful.seen = 0
        with pytest.raises(MaybeAppliedError, match="LOST"):  # no id in this mode: it is not repeated
            store.put("lost", "v")


def test_with_too_few_nodes_the_error_says_whether_it_may_have_been_done(tmp_path: Path) -> None:
    with live_cluster(tmp_path, 3, bucket='mode = "cas"', more="request_timeout_ms = 200") as made:
        with blocking_client(*nodes(made), deadline_s=300.0) as patient:
            patient.put("k", "v")
        with blocking_client(*nodes(made), deadline_s=1.0) as store:
            made.stop("n2", signal.SIGKILL)
            made.stop("n3", signal.SIGKILL)
            with pytest.raises(DefiniteError) as seen:
                store.get("k")
            assert seen.value.code in ("TIMEOUT", "LOST")  # a read changes nothing
            with pytest.raises((MaybeAppliedError, DefiniteError)) as write:
                store.put("k", "w")
            assert write.value.tries > 1
        made.stop("n1", signal.SIGKILL)
        with pytest.raises(DefiniteError, match="no node could be reached"):
            blocking_client(*nodes(made)).__enter__()


def test_a_session_goes_on_at_another_node(tmp_path: Path) -> None:
    async def scenario(made: LiveCluster) -> None:
        async with quorate_client(*nodes(made)) as store, store.session() as session:
            for number in range(5):
                await session.put("mine", str(number))
                assert await session.get("mine") == b"%d" % number
            assert session._channel is not None
            assert session._channel._transport is not None
            port = session._channel._transport.get_extra_info("peername")[1]
            victim = next(name for name, each in made.ports.items() if each == port)
            made.stop(victim, signal.SIGKILL)
            assert (
                await session.get("mine") == b"4"
            )  # never backwards, though one replica is enough elsewhere
            await session.put("mine", "5")
            assert await session.get("mine") == b"5"

    with live_cluster(tmp_path, 3, bucket='mode = "session"') as made:
        asyncio.run(scenario(made))


def test_a_wrong_password_is_told_at_once(tmp_path: Path) -> None:
    with live_cluster(tmp_path, 1, bucket='mode = "cas"\nn = 1', password="open sesame") as made:
        with blocking_client(*nodes(made), password="open sesame") as store:
            assert store.incr("n") == 1
            assert "open sesame" not in repr(store._client.access)
        with pytest.raises(DefiniteError, match="WRONGPASS"):
            blocking_client(*nodes(made), password="wrong").__enter__()
        with pytest.raises(DefiniteError, match="NOAUTH"):
            blocking_client(*nodes(made)).__enter__()


def test_over_tls_and_not_to_a_stranger(tmp_path: Path) -> None:
    secured = Secured(tmp_path)
    try:
        secured.nodes.start_all()
        with blocking_client(*nodes(secured.nodes), tls=trusting(secured.ca)) as store:
            store.put("k", "v" * 100_000)
            assert store.get("k") == b"v" * 100_000
            assert len(store._client.routes.order(None, 0.0)) == 3
        with pytest.raises(DefiniteError, match="CERTIFICATE_VERIFY_FAILED"):
            blocking_client(*nodes(secured.nodes), tls=trusting(trustme.CA())).__enter__()
    finally:
        secured.nodes.stop_all()


def test_what_is_no_address_or_no_bucket_is_one_sentence(live: LiveCluster) -> None:
    with pytest.raises(ValueError, match="host:port"):
        blocking_client("localhost").__enter__()
    with pytest.raises(ValueError, match="name a node"):
        blocking_client().__enter__()
    with pytest.raises(DefiniteError, match="no bucket"):
        blocking_client(*nodes(live), bucket="nowhere").__enter__()


def test_the_page_about_the_client_runs(live: LiveCluster) -> None:
    page = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 4
    for number, address in enumerate(nodes(live), 1):
        blocks = [block.replace(f"127.0.0.1:700{number}", address) for block in blocks]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
