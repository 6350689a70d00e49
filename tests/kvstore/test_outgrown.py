"""What replicas of a key make apart from each other fits in a frame when it is joined; what would not is refused before it is written."""

from __future__ import annotations

import pytest

from kvstore.config import bucket
from kvstore.events import Failure
from kvstore.messages_causal import Apply
from kvstore.ring import partition_of
from kvstore.updates import value_max
from tests.kvstore.cluster import Flight, failed, fields
from tests.kvstore.test_scan import scanned
from tests.kvstore.watched import Framed

SIBLINGS = bucket("default", "siblings")
LIMIT = value_max(SIBLINGS, 15 << 20)
LARGE = LIMIT - 200  # the context takes some bytes, too
KEYS = (b"{big}1", b"{big}2")
WRITERS = {KEYS[0]: "ab", KEYS[1]: "abc"}  # the two together are more than a frame


class Sent(Framed):
    """A cluster that counts what is asked of actors."""

    changes = 0

    def _send(self, flight: Flight) -> None:
        self.changes += isinstance(flight.message, Apply)
        super()._send(flight)


def apart(made: Framed) -> None:
    """Nobody reaches anybody."""
    made.network.cut = {(one, other) for one in made.machines for other in made.machines if one != other}


@pytest.mark.slow
def test_siblings_made_apart_come_together_however_large() -> None:
    """Three of 15 MiB each came to no replica but their own, and could be read no more."""
    made = Framed("abc", SIBLINGS, max_value_bytes=15 << 20, anti_entropy_ms=500.0)
    made.idle(1_000)
    apart(made)
    for key, names in WRITERS.items():
        for name in names:
            assert failed(made.ask(name, "KV.PUT", key, name.encode() * LARGE, "W", 1)) is None
    made.network.cut = set()
    made.idle(20_000)
    for name in "abc":
        for key, names in WRITERS.items():
            state = made.machines[name].disk.get("default", key)
            assert state is not None
            assert state.value is not None
            assert len(state.value) > len(names) * LARGE, "some of it has not arrived"
    read = fields(made.ask("b", "KV.GET", KEYS[1], "CL", "all", "TIMEOUT", 5000))
    assert [value[:1] for value in sorted(read["values"])] == [b"a", b"b", b"c"]
    assert scanned(made) == [*KEYS]
    assert made.lost == 0
    refused = made.ask("c", "SET", KEYS[1], b"x")
    assert isinstance(refused, Failure)
    assert refused.code == "BADARG"
    assert f"at most {LIMIT}" in refused.text
    assert failed(made.ask("c", "KV.PUT", KEYS[1], b"x", "CTX", read["ctx"])) is None
    assert fields(made.ask("a", "KV.GET", KEYS[1], "CL", "all"))["values"] == [b"x"]


def test_a_set_of_siblings_that_would_be_too_large_is_refused_and_stays_as_it_was() -> None:
    made = Framed("abc", SIBLINGS, max_value_bytes=15 << 20)
    assert failed(made.ask("a", "SET", KEYS[0], b"1" * (LARGE // 2))) is None
    assert failed(made.ask("a", "SET", KEYS[0], b"2" * (LARGE // 2 - 200))) is None
    made.idle(1_000)
    before = [made.machines[name].disk.get("default", KEYS[0]) for name in "abc"]
    for value in (b"3" * 1_000, b"3" * (LIMIT + 1)):
        refused = made.ask("a", "SET", KEYS[0], value)
        assert isinstance(refused, Failure)
        assert refused.code == "BADARG"
        assert f"at most {LIMIT} are allowed" in refused.text
    assert [made.machines[name].disk.get("default", KEYS[0]) for name in "abc"] == before
    assert made.lost == 0


def test_a_change_that_is_too_large_is_told_to_nobody() -> None:
    made = Sent("abcd", bucket("default", "crdt", type="or-set"), max_value_bytes=15 << 20)
    made.idle(1_000)
    plan = made.node("a").view.plan
    outside = next(name for name in "abcd" if name not in plan(partition_of(KEYS[0]), 3).replicas)
    elements = [b"%d" % number + b"x" * (1 << 20) for number in range(17)]
    assert failed(made.ask(outside, "SADD", KEYS[0], *elements)) == "BADARG"
    assert made.changes == 0
    assert made.ask(outside, "SADD", KEYS[0], b"x") == 1
    assert made.changes > 0
    assert made.lost == 0


def test_a_share_is_less_than_what_is_configured_only_where_values_are_large() -> None:
    assert value_max(SIBLINGS, 1 << 20) == 1 << 20
    assert value_max(bucket("default", "quorum"), 15 << 20) == 15 << 20
    assert value_max(bucket("default", "crdt", type="lww-register"), 15 << 20) == 15 << 20
