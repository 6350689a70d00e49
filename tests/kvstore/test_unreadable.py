"""What is damaged at one replica and lost at another: a change of members waits, says why and for what, and a person may give it up."""

from __future__ import annotations

import pytest

from kvstore.acceptor import PROMISES
from kvstore.cluster_cli import _show
from kvstore.config import bucket
from kvstore.events import Deliver, Record, Tag
from kvstore.messages import Query, QueryReply, Store
from kvstore.ring import partition_of
from tests.kvstore.cluster import Cluster, failed, fields

QUIET = {"anti_entropy_ms": 0.0, "scrub_ms": 0.0}


def done(made: Cluster, for_ms: float) -> bool:
    """Whether the change of members comes to its end in that time."""
    for _ in range(int(for_ms / 100)):
        made.idle(100.0)
        document = made.node("c").view.document
        if document.epoch > 1 and document.change is None:
            return True
    return False


def lost_and_damaged(mode: str, *damaged: str) -> Cluster:
    """a has lost its disk and is to be filled; b cannot read these buckets' rows of x; c is well."""
    made = Cluster("abc", bucket("default", mode), **QUIET)
    for key in ("x", "y"):
        assert failed(made.ask("a", "SET", key, f"of {key}")) is None
    made.idle(1_000)
    made.crash("a")
    made.wipe("a")
    made.boot("a", replace=True)
    made.crash("b")  # it remembers nothing
    for name in damaged:
        made.machines["b"].disk.corrupt(name, b"x")
    made.boot("b")
    made.idle(1_000)
    assert isinstance(made.ask("c", "KV.CLUSTER", "REPLACE", "a"), dict)
    return made


@pytest.mark.parametrize(
    ("mode", "damaged"),
    [("quorum", ["default"]), ("register", ["default"]), ("cas", ["default"]), ("cas", [PROMISES + "default"]),
     ("cas", ["default", PROMISES + "default"])],
)  # fmt: skip
def test_a_replacement_that_waits_for_a_damaged_record_says_so_until_it_is_given_up(
    mode: str, damaged: list[str]
) -> None:
    made = lost_and_damaged(mode, *damaged)
    assert not done(made, 15_000)
    for node in "bc":
        told = fields(made.ask(node, "KV.CLUSTER", "STATUS"))["nodes"]
        assert [told[name]["unreadable"] for name in "abc"] == [b"", b"key b'x' of bucket default", b""]
    assert fields(made.ask("b", "KV.NODE", "STATUS"))["unreadable"] == [
        [each.encode(), b"x"] for each in damaged[-1:]
    ]
    assert any("waits" in line and "b cannot read key b'x'" in line for line in made.logs)
    assert failed(made.ask("c", "KV.NODE", "FORGET", "x")) == "BADARG"  # it is well here
    assert failed(made.ask("b", "KV.NODE", "FORGET", "y")) == "BADARG"
    assert made.ask("b", "KV.NODE", "FORGET", "x") == {"forgotten": len(damaged), "written_anew": 0}
    assert done(made, 60_000)
    made.idle(3_000)
    assert fields(made.ask("c", "KV.CLUSTER", "STATUS"))["nodes"]["b"]["unreadable"] == b""
    for key in ("x", "y"):
        assert [made.ask(name, "GET", key) for name in "abc"] == [f"of {key}".encode()] * 3


def test_a_person_is_told_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    member = {
        "state": "reachable",
        "epoch": 2,
        "partitions": 85,
        "address": "h:1",
        "rack": "",
        "unreadable": "",
    }
    change = {"kind": "replace", "node": "n1", "back": 0, "steps": {"old": 255, "new": 1}}
    nodes = {"n1": member, "n2": {**member, "unreadable": "key b'x' of bucket default and 2 more"}}
    _show({"node": "n1", "epoch": 2, "members": 2, "reachable": 2, "nodes": nodes, "change": change})
    said = " ".join(capsys.readouterr().out.split())
    assert "n2 cannot read key b'x' of bucket default and 2 more" in said
    assert "KV.NODE FORGET key at n2 gives it up" in said


def test_a_record_that_memory_still_has_is_written_anew_and_not_lost() -> None:
    made = Cluster("abc", bucket("default", "cas"), **QUIET)
    made.ask("a", "SET", "x", "1")
    made.idle(1_000)
    disk = made.machines["b"].disk
    held = disk.get("default", b"x")
    disk.corrupt("default", b"x")
    assert made.ask("b", "KV.NODE", "FORGET", "x") == {"forgotten": 0, "written_anew": 1}
    made.idle(1_000)
    assert disk.get("default", b"x") == held


def test_what_a_stream_cannot_read_is_mended_from_those_who_can() -> None:
    """Two replicas have each lost another record of a partition, and nobody reads them: the newcomer's pages do."""
    made = Cluster("abc", bucket("default", "register"), **QUIET)
    places = [(name, f"{{{tag}}}{name}".encode()) for tag in range(10) for name in "bc"]
    for _, key in places:
        assert failed(made.ask("a", "SET", key, "1")) is None
    made.idle(1_000)
    for name, key in places:
        made.machines[name].disk.corrupt("default", key)
    made.add("d")
    made.ask("b", "KV.CLUSTER", "JOIN", "d", "d:7100")
    assert done(made, 60_000)
    mended = sum(made.node(name).upkeep.scrub.mended for name in "bc")
    streamed = {key for _, key in places} & {row.key for row in made.machines["d"].disk.records()}
    assert mended >= len(streamed) > 0


def test_what_was_written_while_the_others_were_asked_is_not_replaced_by_what_they_said() -> None:
    made = Cluster("abc", bucket("default", "quorum"), by_hand=True, anti_entropy_ms=0.0, scrub_ms=0.0)
    made.send("a", "SET", "x", "1")
    made.commit("a")
    made.deliver("a", "b", Store)
    made.deliver("a", "c", Store)
    made.machines["b"].disk.corrupt("default", b"x")
    partition = partition_of(b"x")
    made.step("b", Deliver("c", Query(1, "default", b"x", partition, made.ring.epoch, 9e9, 0)))
    for other in "ac":
        made.deliver("b", other, Query)
    made.send("b", "KV.NODE", "FORGET", "x")
    made.commit("b")
    newer = Record("default", b"x", Tag(1_000_001 << 16, "c", 1), b"2")
    made.step("b", Deliver("c", Store(2, "default", b"x", partition, made.ring.epoch, 9e9, newer.tag, b"2")))
    made.commit("b")
    for other in "ac":
        made.deliver(other, "b", QueryReply)
    assert made.machines["b"].disk.get("default", b"x") == newer
