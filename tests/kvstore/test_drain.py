"""SIGTERM under load: what is in progress is answered, what comes is refused in words, and the status is 0."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from live import LiveCluster, ask, live_cluster

from kvstore.client import ChannelLost, SocketChannel

CLIENTS = 24


class Load:
    """Clients that write through n1 without a pause, and go to n2 when n1 is done with them."""

    def __init__(self, nodes: LiveCluster) -> None:
        self.nodes = nodes
        self.ended = False  # n1 has been told to stop
        self.lost_in_progress = 0  # operations that began before that and got no answer
        self.refused = 0
        self.late = 0  # clients that had no time to send another while n1 waited for them
        self.failures: list[str] = []
        self.warm = asyncio.Semaphore(0)

    async def client(self, number: int) -> None:
        """One operation after the other; each is tried once more, at n2."""
        n1 = await SocketChannel.connect("127.0.0.1", self.nodes.ports["n1"])
        done = 0
        while await self._ask_n1(n1, number, done):
            done += 1
            if done == 5:
                self.warm.release()
        n2 = await SocketChannel.connect("127.0.0.1", self.nodes.ports["n2"])
        for again in range(done, done + 5):
            answer = await n2.request([b"SET", b"k%d" % number, b"%d" % again], timeout_s=60)
            if answer != b"OK":
                self.failures.append(str(answer))
        await n1.close()
        await n2.close()

    async def _ask_n1(self, n1: SocketChannel, number: int, value: int) -> bool:
        began_before = not self.ended
        try:
            answer = await n1.request([b"SET", b"k%d" % number, b"%d" % value], timeout_s=60)
        except ChannelLost as lost:
            if began_before and not lost.definite:
                self.lost_in_progress += 1
            else:
                self.late += 1
            return False
        if answer != b"OK":
            self.refused += 1
            if not str(answer).startswith("LOADING"):
                self.failures.append(str(answer))
        return bool(answer == b"OK")


async def stopped_under_load(nodes: LiveCluster, number: int) -> tuple[Load, int]:
    """The load, and n1's exit status after a signal in the midst of it."""
    load = Load(nodes)
    clients = [asyncio.create_task(load.client(each)) for each in range(CLIENTS)]
    for _ in range(CLIENTS):
        await load.warm.acquire()
    load.ended = True
    process = nodes.running.pop("n1")
    process.send_signal(number)
    for each in clients:
        await each
    return load, process.wait(300)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["quorum", "register"])
def test_nothing_in_progress_at_sigterm_goes_without_an_answer(tmp_path: Path, mode: str) -> None:
    with live_cluster(tmp_path, bucket=f'mode = "{mode}"') as nodes:
        load, status = asyncio.run(stopped_under_load(nodes, signal.SIGTERM))
        assert (status, load.lost_in_progress, load.failures) == (0, 0, [])
        assert load.refused > 0
        assert load.refused + load.late == CLIENTS
        nodes.start("n1")
        nodes.wait_answering("n1")
        assert ask(nodes.ports["n1"], [b"SET", b"k", b"v"]) == [b"OK"]


@pytest.mark.slow
def test_the_same_load_loses_answers_when_the_node_is_killed(tmp_path: Path) -> None:
    with live_cluster(tmp_path) as nodes:
        load, status = asyncio.run(stopped_under_load(nodes, signal.SIGKILL))
        assert status == -signal.SIGKILL
        assert load.lost_in_progress > 0


@pytest.mark.slow
def test_what_cannot_end_in_time_is_answered_too(tmp_path: Path) -> None:
    """No quorum, and a TIMEOUT of its own of a minute: it ends within request_timeout_ms, with an answer."""
    with live_cluster(tmp_path, more="request_timeout_ms = 200") as nodes:
        for name in ("n2", "n3"):
            nodes.stop(name, signal.SIGKILL)

        async def scenario() -> list[str]:
            n1 = await SocketChannel.connect("127.0.0.1", nodes.ports["n1"])
            put = [b"KV.PUT", b"k", b"v", b"TIMEOUT", b"60000"]
            asking = [asyncio.create_task(n1.request(each, timeout_s=60)) for each in (put, [b"PING"])]
            other = await SocketChannel.connect("127.0.0.1", nodes.ports["n1"])
            while b"requests_in_progress:1" not in await other.request([b"INFO"], timeout_s=60):
                pass
            nodes.running["n1"].send_signal(signal.SIGTERM)
            return [str(await each) for each in asking]

        write, ping = asyncio.run(scenario())
        assert write.startswith(("TIMEOUT", "INDEFINITE"))
        assert ping.startswith("LOADING")
        assert nodes.running.pop("n1").wait(300) == 0
