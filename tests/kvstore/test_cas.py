"""Class cas: what its commands answer, its acceptors' rows, its lines, and what a lost answer leaves."""

from __future__ import annotations

import pytest

from kvstore.acceptor import PROMISES
from kvstore.config import ConfigError, bucket
from kvstore.envelope import EMPTY, Rid, opened, sealed
from kvstore.events import Deliver, Failure, Record, Simple, Tag, Value
from kvstore.messages import Repair, StoreReply
from kvstore.messages_cas import Accept, Accepted, Nack, Prepare, Promise
from kvstore.ring import partition_of
from tests.kvstore.cluster import Cluster, failed

OK = Simple("OK")
CAS = bucket("default", "cas")
KEY = b"x"  # partition 254: replicas e, a, b of five nodes

TALK: list[tuple[str, Value]] = [
    ("INCR n", 1),
    ("INCRBY n 41", 42),
    ("DECR n", 41),
    ("DECRBY n -1", 42),
    ("GET n", b"42"),
    ("APPEND n 0", 3),
    ("STRLEN n", 3),
    ("SETNX n 7", 0),
    ("SETNX m 7", 1),
    ("GETSET m 8", b"7"),
    ("SET m 9 GET", b"8"),
    ("SET m 1 NX", None),
    ("SET m 1 NX GET", b"9"),
    ("SET m 2 XX", OK),
    ("SET none 2 XX", None),
    ("DEL m", 1),
    ("DEL m", 0),
    ("KV.CAS m ABSENT 1", {"tag": b"6", "acks": 2}),
    ("KV.CAS m VERSION 6 2", {"tag": b"7", "acks": 2}),
    ("KV.CAS m VERSION 6 3", Failure("CASFAIL", "the key is at version 7")),
    ("KV.CAS m ABSENT 3", Failure("CASFAIL", "the key is at version 7")),
    ("KV.GET m", {"values": [b"2"], "tag": b"7"}),
    ("KV.INCR c 5 RID alice:1", 5),
    ("KV.INCR c 5 RID bob:1", 10),
    ("KV.INCR c 5 RID alice:1", 5),
    ("KV.INCR c 5 RID alice:2", 15),
    ("KV.PUT m x RID one", {"tag": b"8", "acks": 2}),
    ("KV.DEL m RID two", {"tag": b"9", "acks": 2, "existed": 1}),
    ("KV.DEL m RID two", {"tag": b"9", "acks": 0, "existed": 1}),
]


def test_what_the_commands_answer() -> None:
    made = Cluster("abcde", CAS)
    for number, (line, answer) in enumerate(TALK):
        found = made.ask("abcde"[number % 5], *line.split())
        if isinstance(answer, dict) and "acks" in answer and isinstance(found, dict):
            found["acks"] = answer["acks"]  # two or three, as it happens
        assert found == answer, line
    assert made.logs == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("INCR text", "ERR"),
        ("INCRBY n 9223372036854775807", "ERR"),
        ("INCRBY n 9223372036854775808", "ERR"),
        ("INCRBY n 1.5", "ERR"),
        ("SET n 1 EX 3", "WRONGCLASS"),
        ("SET n 1 NX XX", "ERR"),
        ("SET n 1 WHAT", "BADARG"),
        ("KV.CAS n VERSION x 1", "BADARG"),
        ("KV.CAS n WHAT 1", "BADARG"),
        ("KV.INCR n 1 RID !n1", "BADARG"),
        ("KV.INCR n 1 RID", "BADARG"),
        ("KV.INCR n 1 W 2", "BADARG"),
        ("KV.GET n R 1", "WRONGCLASS"),
    ],
)
def test_refusals_change_nothing(line: str, code: str) -> None:
    made = Cluster("abc", CAS)
    made.ask("a", "MSET", "text", "abc", "n", "1")
    before = len(made.stored)
    assert failed(made.ask("a", *line.split())) == code
    assert len(made.stored) == before


def test_a_bucket_needs_majorities_and_a_name_of_its_own() -> None:
    with pytest.raises(ConfigError, match="mode cas needs majorities"):
        bucket("b", "cas", w=1)
    with pytest.raises(ConfigError, match="begins with"):
        bucket("!promise/b")


@pytest.mark.parametrize("value", [b"", b"+5", b"007", b"-0", b" 1", b"1_0", b"1.0", b"9" * 21])
def test_what_is_no_whole_number_is_not_counted_on(value: bytes) -> None:
    made = Cluster("abc", CAS)
    assert made.ask("a", "SET", KEY, value) == OK
    told = made.ask("b", "INCR", KEY)
    assert isinstance(told, Failure)
    assert "not an integer" in told.text
    assert made.ask("c", "GET", KEY) == value


def test_increments_through_all_nodes_at_once_are_all_counted() -> None:
    made = Cluster("abcde", CAS, seed=3)
    handles = [made.send("abcde"[number % 5], "INCR", KEY) for number in range(25)]
    made.run(for_ms=900.0)
    sums = sorted(made.replies[handle] for handle in handles if handle in made.replies)
    assert sums == list(range(1, 26))
    assert made.ask("a", "GET", KEY) == b"25"


def by_hand(*bugs: str) -> Cluster:
    made = Cluster("abcde", CAS, by_hand=True, bugs=list(bugs))
    assert made.ring.replicas(KEY, 3) == ("e", "a", "b")
    return made


def reach(made: Cluster, coordinator: str, replicas: str, kind: type, reply: type) -> None:
    for replica in replicas:
        made.deliver(coordinator, replica, kind)
        made.deliver(replica, coordinator, reply)


@pytest.mark.parametrize(("bugs", "answer"), [([], OK), (["cas.retry_reports_second_outcome"], None)])
def test_a_write_whose_acknowledgement_was_lost_is_recognised(bugs: list[str], answer: Value) -> None:
    made = by_hand(*bugs)
    first = made.send("c", "SET", KEY, "1", "NX")
    reach(made, "c", "ea", Prepare, Promise)
    made.deliver("c", "e", Accept)  # e holds it, and its answer is lost
    made.now_ms += 10.0
    second = made.send("d", "KV.CAS", KEY, "VERSION", "9", "2")
    reach(made, "d", "ea", Prepare, Promise)
    reach(made, "d", "ea", Accept, Accepted)  # d met the write, so its failed condition made it chosen
    assert failed(made.replies[second]) == "CASFAIL"
    made.deliver("d", "b", Prepare)
    for replica in "ab":
        made.deliver("c", replica, Accept)
        made.deliver(replica, "c", Nack)
    made.run(for_ms=5.0)  # c stays away for a while
    made.flights = [flight for flight in made.flights if isinstance(flight.message, Prepare)]
    reach(made, "c", "ea", Prepare, Promise)
    assert made.replies[first] == answer


def test_a_promise_survives_a_crash_and_an_old_accept_loses() -> None:
    made = by_hand()
    made.send("c", "SET", KEY, "1")
    reach(made, "c", "ea", Prepare, Promise)
    made.now_ms += 10.0
    made.send("d", "SET", KEY, "2")
    reach(made, "d", "ea", Prepare, Promise)
    made.crash("a")
    made.boot("a")
    made.deliver("c", "a", Accept)
    made.deliver("a", "c", Nack)
    assert made.machines["a"].disk.get(PROMISES + "default", KEY) is not None
    assert made.machines["a"].disk.get("default", KEY) is None


def test_a_copy_that_travels_is_a_late_accept() -> None:
    made = by_hand()
    made.send("c", "SET", KEY, "1")
    made.deliver("c", "e", Prepare)
    promised = made.machines["e"].disk.get(PROMISES + "default", KEY)
    assert promised is not None
    state = sealed(EMPTY.changed(Rid(b"me", 1), b"v", 0))
    low, high = Tag(promised.tag.hlc - 1, "z", 1), Tag(promised.tag.hlc + 1, "z", 1)
    for ballot in (low, high):
        made.step("e", Deliver("d", Repair(7, "default", KEY, 254, 1, 500.0, ballot, state)))
        made.commit("e")
        made.deliver("e", "d", StoreReply)
        record = made.machines["e"].disk.get("default", KEY)
        assert (record is not None) is (ballot is high)
    assert made.machines["e"].disk.get(PROMISES + "default", KEY) == Record(
        PROMISES + "default", KEY, high, None
    )


def test_an_unreadable_state_is_not_told_and_may_be_overwritten() -> None:
    made = Cluster("abc", CAS)
    made.ask("a", "SET", KEY, "1")
    made.idle(100.0)
    made.machines["b"].disk.corrupt("default", KEY)
    assert made.ask("a", "GET", KEY) == b"1"
    assert made.ask("b", "INCR", KEY) == 2
    made.idle(100.0)
    healed = made.machines["b"].disk.get("default", KEY)
    assert healed is not None
    assert opened(healed.value).value == b"2"
    for name in "bc":  # in another life: what a node wrote in this one it may remember
        made.crash(name)
        made.machines[name].disk.corrupt(PROMISES + "default", KEY)
        made.boot(name)
    made.idle(1000.0)
    assert failed(made.ask("a", "SET", KEY, "3")) == "NOQUORUM"


def test_silent_acceptors_are_asked_again() -> None:
    made = Cluster("abcde", CAS, seed=5)
    made.network.loss = 0.4
    answers = [made.ask("c", "INCR", KEY) for _ in range(20)]
    counted = [answer for answer in answers if isinstance(answer, int)]
    assert len(counted) >= 15
    assert counted == sorted(set(counted))


@pytest.mark.parametrize("suspected", [False, True])
@pytest.mark.parametrize("accepting", [False, True])
def test_who_is_outbid_beside_a_dead_replica_tries_again_in_time(suspected: bool, accepting: bool) -> None:
    """Of three one is dead and one has promised a higher ballot, to somebody who is gone: no quorum can answer this round, and none will refuse it."""
    made = Cluster("abc", bucket("default", "cas"), seed=2)
    assert failed(made.ask("a", "SET", "k", "1")) is None
    made.crash("c")
    made.idle(5_000.0 if suspected else 0.0)
    partition = partition_of(b"k")

    def outbid() -> None:
        body = ("default", b"k", partition, 1, 1000.0, Tag(1 << 60, "c", 9))
        made.step("b", Deliver("c", Prepare(1 << 61, *body)))

    if not accepting:
        outbid()
    handle = made.send("a", "KV.INCR", "k", "1")
    while accepting and not any(isinstance(each, Accept) for each in made.stored[-1:]):
        made.run(for_ms=0.1)
    if accepting:
        outbid()
    begin_ms = made.now_ms
    made.run(until=handle)
    assert failed(made.replies[handle]) is None
    assert made.now_ms - begin_ms < 500.0  # of virtual time; a client's is a second
    assert made.ask("b", "GET", "k") == b"2"
