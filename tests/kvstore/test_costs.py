"""What an operation costs in messages between nodes, as `docs/store.md` says, and that it costs the same in a larger cluster."""

from __future__ import annotations

from collections import Counter

import pytest

from kvstore.config import bucket
from kvstore.envelope import Rid, opened, sealed
from kvstore.events import Deliver, Record, Tag
from kvstore.messages_repair import Handoff
from tests.kvstore.cluster import Cluster, Flight, failed

ALONE = {"anti_entropy_ms": 0.0, "scrub_ms": 0.0, "gossip_ms": 0.0, "heartbeat_ms": 3_000_000.0}


class Counted(Cluster):
    """Counts what goes over the network, by kind."""

    sent: Counter[str]

    def _send(self, flight: Flight) -> None:
        self.sent[type(flight.message).__name__] += 1
        super()._send(flight)


def cost(mode: str, nodes: int, *commands: str, at: str = "another", kind: str | None = None) -> int:
    """Messages of the last of these commands on one key, asked of a node that holds no replica of it, or of the first that does."""
    Counted.sent = Counter()
    made = Counted("abcdefghijklmnopqrst"[:nodes], bucket("default", mode, type=kind), **ALONE)
    replicas = made.ring.replicas(b"x", 3)
    asked = replicas[0] if at == "replica" else next(name for name in made.machines if name not in replicas)
    for command in commands:
        made.idle(500)
        made.sent.clear()
        assert failed(made.ask(asked, *command.split())) is None
        made.idle(500)
    return made.sent.total()


ROWS = [
    ("eventual", ("SET x 1",), 4, 6),
    ("eventual", ("SET x 1", "GET x"), 4, 6),
    ("quorum", ("SET x 1",), 4, 6),
    ("quorum", ("SET x 1", "GET x"), 4, 6),
    ("monotonic", ("SET x 1", "GET x"), 4, 6),
    ("quorum", ("SET x 1", "EXPIRE x 100"), 8, 12),
    ("register", ("SET x 1",), 8, 12),
    ("register", ("SET x 1", "GET x"), 4, 6),  # all hold it: nothing is written back
    ("cas", ("SET x 1",), 8, 12),
    ("cas", ("SET x 1", "INCR x"), 8, 12),
    ("cas", ("SET x 1", "INCR x", "INCR x"), 4, 6),  # this node made the last two changes
    ("cas", ("SET x 1", "GET x"), 4, 6),
    ("siblings", ("KV.PUT x 0", "KV.PUT x 1"), 4, 6),
    ("siblings", ("KV.PUT x 1", "KV.GET x"), 4, 6),
    ("crdt", ("SADD x 0", "SADD x 1"), 4, 6),
    ("crdt", ("SADD x 1", "SMEMBERS x"), 4, 6),
]


@pytest.mark.parametrize(("mode", "commands", "through_a_replica", "through_another"), ROWS)
def test_messages_of_an_operation(
    mode: str, commands: tuple[str, ...], through_a_replica: int, through_another: int
) -> None:
    kind = "or-set" if mode == "crdt" else None
    for nodes in (5, 12):
        assert cost(mode, nodes, *commands, at="replica", kind=kind) == through_a_replica
        assert cost(mode, nodes, *commands, kind=kind) == through_another


def test_the_first_forwarded_update_asks_twice() -> None:
    """The node does not know yet which life of the replica it speaks to."""
    assert cost("siblings", 5, "KV.PUT x 1") == 6 + 2


def test_a_read_of_a_state_in_doubt_has_it_accepted_anew() -> None:
    """No two replicas have accepted the same, and nobody knows what became of it: three rounds of six."""
    Counted.sent = Counter()
    made = Counted("abcde", bucket("default", "cas"), **ALONE)
    replicas = made.ring.replicas(b"x", 3)
    asked = next(name for name in made.machines if name not in replicas)
    assert failed(made.ask(asked, "SET", "x", "1")) is None
    made.idle(500)
    for number, name in enumerate(replicas[:2], 1):
        held = made.machines[name].disk.get("default", b"x")
        assert held is not None
        state = opened(held.value).changed(Rid(b"z", number), b"2", 0)
        later = Record("default", b"x", Tag(held.tag.hlc + number, "z", 1), sealed(state))
        made.step(name, Deliver("z", Handoff(0, (later,))))
    made.idle(500)
    made.sent.clear()
    assert made.ask(asked, "GET", "x") == b"2"
    made.idle(500)
    assert made.sent == dict.fromkeys(("Query", "QueryReply", "Prepare", "Promise", "Accept", "Accepted"), 3)
